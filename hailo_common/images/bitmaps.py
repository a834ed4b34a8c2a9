"""Header checks of GIF, BMP and TIFF in pure Python: size, number of parts, ending, ways of compression.

Sources: GIF89a specification; Microsoft, Bitmap Storage; TIFF 6.0. All of them raise ServiceError, or
IndexError or struct.error where the data ends early.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from hailo_common.images.limits import Buffer, Format, Header, ImageLimits, image_error

# GIF
_GIF_SCREEN = struct.Struct("<HHB")
_GIF_FRAME = struct.Struct("<HHHHB")
_EXTENSION, _IMAGE = 0x21, 0x2C
_MAX_BLOCKS = 200_000
"""Blocks of at most 255 bytes, of which a file of 10 MB has 40,000."""


def read_gif(data: Buffer, limits: ImageLimits) -> Header:
    """The size of screen and first frame together, which is what is allocated; the frame's data must be
    whole.
    """
    width, height, flags = _GIF_SCREEN.unpack_from(data, 6)
    position, blocks = 13 + _colours(flags), 0
    while data[position] == _EXTENSION:
        position, blocks = _skip_blocks(data, position + 2, blocks + 1, limits)
    if data[position] != _IMAGE:
        raise image_error("invalid_image", limits)
    left, top, wide, high, flags = _GIF_FRAME.unpack_from(data, position + 1)
    _skip_blocks(data, position + 11 + _colours(flags), blocks, limits)
    return Header(Format.GIF, max(width, left + wide), max(height, top + high))


def _colours(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _skip_blocks(data: Buffer, position: int, blocks: int, limits: ImageLimits) -> tuple[int, int]:
    """The position behind a list of blocks, and how many there were so far."""
    while size := data[position]:
        position += size + 1
        blocks += 1
        if blocks > _MAX_BLOCKS:
            break
    if blocks > _MAX_BLOCKS:
        raise image_error("too_many_chunks", limits)
    return position + 1, blocks


# BMP
_OS2, _BITFIELDS = 12, (3, 6)
_RLE = (1, 2)
_RLE_PIXELS, _RLE_BYTES = 1_000_000, 1_000_000
"""Pillow unpacks these in Python, pixel by pixel."""
_DEPTHS = (1, 4, 8, 16, 24, 32)


def read_bmp(data: Buffer, limits: ImageLimits) -> Header:
    """A bitmap without compression, or a small one with run lengths; all of its rows must be there."""
    offset, size = struct.unpack_from("<II", data, 10)
    if size == _OS2:
        width, height, _, depth = struct.unpack_from("<HHHH", data, 18)
        compression = 0
    elif 40 <= size <= 124:
        width, height, _, depth, compression = struct.unpack_from("<iiHHI", data, 18)
    else:
        raise image_error("invalid_image", limits)
    height = abs(height)
    if depth not in _DEPTHS or width < 0:
        raise image_error("invalid_image", limits)
    if compression in _RLE:
        if width * height > _RLE_PIXELS or len(data) > _RLE_BYTES:
            raise image_error("bmp_compression", limits)
        return Header(Format.BMP, width, height)
    if compression and compression not in _BITFIELDS:
        raise image_error("bmp_compression", limits)
    whole = offset + (width * depth + 31) // 32 * 4 * height <= len(data)
    return Header(Format.BMP, width, height, "whole" if whole else "cut")


# TIFF
_MAX_ENTRIES = 512
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_SHORTS, _LONGS = 3, (4, 13)
_COMPRESSIONS = (1, 2, 3, 4, 5, 8, 32773, 32946)
"""None, three of fax, LZW, deflate, run lengths, deflate: none of them holds another image with a size of
its own.
"""
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _OFFSETS, _SAMPLES, _ROWS, _COUNTS = (
    256,
    257,
    258,
    259,
    273,
    277,
    278,
    279,
)
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_COUNTS, _SAMPLE_FORMAT = 322, 323, 324, 325, 339
_ORIENTATION = 274
_SUB_DIRECTORIES = (330, 34665, 34853, 40965)
"""Tags that lead to more lists of tags, which Pillow would read."""
_IGNORED_TYPE = 0
_UNSIGNED = 1
_MAX_SAMPLES = 5


@dataclass(frozen=True)
class _Entry:
    kind: int
    count: int
    at: int


class _Directory:
    """The first list of tags of a file."""

    def __init__(self, data: Buffer, limits: ImageLimits) -> None:
        self.data, self.limits = data, limits
        self.order = "<" if bytes(data[:2]) == b"II" else ">"
        (self.start,) = self._unpack("I", 4)
        (count,) = self._unpack("H", self.start)
        if not 1 <= count <= _MAX_ENTRIES:
            raise image_error("too_many_chunks", limits)
        self.places: dict[int, int] = {}
        self.entries: dict[int, _Entry] = {}
        total = 0
        for place in range(self.start + 2, self.start + 2 + count * 12, 12):
            tag, kind, values = self._unpack("HHI", place)
            size = _TYPE_BYTES.get(kind, 0) * values
            at = place + 8 if size <= 4 else self._unpack("I", place + 8)[0]
            total += size if size > 4 else 0
            self.places[tag], self.entries[tag] = place, _Entry(kind, values, at)
        if total > len(data):
            # The same bytes over and over: each tag would be a copy of them.
            raise image_error("invalid_image", limits)

    def _unpack(self, form: str, at: int) -> tuple[int, ...]:
        return struct.unpack_from(self.order + form, self.data, at)

    def numbers(self, tag: int, default: int | None = None) -> tuple[int, ...]:
        """The values of a tag of whole numbers."""
        entry = self.entries.get(tag)
        if entry is None and default is not None:
            return (default,)
        if entry is None or entry.count > 3 * self.limits.max_chunks or entry.kind not in (_SHORTS, *_LONGS):
            raise image_error("invalid_image", self.limits)
        return self._unpack(f"{entry.count}{'H' if entry.kind == _SHORTS else 'I'}", entry.at)

    def number(self, tag: int, default: int | None = None) -> int:
        """The only value of a tag."""
        return self.numbers(tag, default)[0]


def read_tiff(data: Buffer, limits: ImageLimits) -> Header:
    """The first image of the file; its strips or tiles must be there, and not much larger than itself."""
    tags = _Directory(data, limits)
    width, height, samples = tags.number(_WIDTH), tags.number(_HEIGHT), tags.number(_SAMPLES, 1)
    bits = tags.numbers(_BITS, 1)
    if tags.number(_COMPRESSION, 1) not in _COMPRESSIONS or set(tags.numbers(_SAMPLE_FORMAT, 1)) != {
        _UNSIGNED
    }:
        raise image_error("tiff_compression", limits)
    if not 1 <= samples <= _MAX_SAMPLES or max(bits) > 16:
        raise image_error("invalid_image", limits)
    tiled = _TILE_WIDTH in tags.entries
    if tiled:
        _check_tiles(tags, width, height, limits)
    offsets = tags.numbers(_TILE_OFFSETS if tiled else _OFFSETS)
    counts = tags.numbers(_TILE_COUNTS if tiled else _COUNTS)
    if len(offsets) > limits.max_chunks or len(offsets) != len(counts):
        raise image_error("too_many_chunks" if len(offsets) > limits.max_chunks else "invalid_image", limits)
    whole = all(offset + count <= len(data) for offset, count in zip(offsets, counts, strict=True))
    return Header(Format.TIFF, width, height, "whole" if whole else "cut", max(bits))


def _check_tiles(tags: _Directory, width: int, height: int, limits: ImageLimits) -> None:
    wide, high = tags.number(_TILE_WIDTH), tags.number(_TILE_HEIGHT)
    if not (wide and high):
        raise image_error("invalid_image", limits)
    if -(-width // wide) * wide * -(-height // high) * high > limits.max_pixels:
        raise image_error("too_many_pixels", limits)


def plain_tiff(data: Buffer, limits: ImageLimits) -> tuple[bytes, int]:
    """The file with some tags ignored, and its EXIF orientation.

    Ignored are those that lead to more tags, and the orientation: versions of Pillow differ about it.
    """
    tags = _Directory(data, limits)
    orientation = tags.number(_ORIENTATION, 1)
    places = [tags.places[tag] for tag in (*_SUB_DIRECTORIES, _ORIENTATION) if tag in tags.places]
    if not places:
        return bytes(data), orientation
    changed = bytearray(data)
    for place in places:
        struct.pack_into(tags.order + "H", changed, place + 2, _IGNORED_TYPE)
    return bytes(changed), orientation
