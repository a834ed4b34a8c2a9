"""Checks in pure Python before Pillow sees a byte: format, size, number of scans and of parts, ending.

Of a JPEG file only the markers are read, of PNG the list of chunks, of WebP the first chunk. GIF, BMP and
TIFF: `bitmaps`; AVIF: `boxes`; HEIC: `heif`.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field

from hailo_common.images.bitmaps import read_bmp, read_gif, read_tiff
from hailo_common.images.boxes import read_avif
from hailo_common.images.heif.layout import read_heic
from hailo_common.images.limits import Buffer, Ending, Format, Header, ImageLimits, image_error
from hailo_common.images.sniff import sniff

# JPEG: not stuffed data, fill, TEM or a restart, so what libjpeg's next_marker() would act on.
_MARKER = re.compile(rb"\xff[^\x00\x01\xff\xd0-\xd7]")
_SOI, _EOI, _SOS, _DRI = 0xD8, 0xD9, 0xDA, 0xDD
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL = (0xC0, 0xC1)
_FIRST_WITH_LENGTH = 0xC0
_LAST_COEFFICIENT = 63
_ALL_COEFFICIENTS = (1 << 64) - 1
_MAX_JUNK = 64 * 1024

# PNG
_PNG_CHUNK = struct.Struct(">I4s")
_PNG_IHDR = struct.Struct(">IIB")
_PNG_SIGNATURE = 8
_PNG_AROUND = 12
"""Bytes of a chunk beside its data: length, type, checksum."""

# WebP
_WEBP_DATA = 20
_LOSSY_START = b"\x9d\x01\x2a"
_LOSSLESS_START = b"\x2f"
_SIDE_MASK = 0x3FFF


def inspect(data: Buffer, limits: ImageLimits) -> Header:
    """Read the header and hold it against `limits`; linear in the length of `data`. Raises ServiceError."""
    if len(data) > limits.max_bytes:
        raise image_error("image_too_large", limits)
    if not len(data):
        raise image_error("image_empty", limits)
    kind = sniff(data)
    if isinstance(kind, str):
        raise image_error(kind, limits)
    try:
        header = _READERS[kind](data, limits)
    except (IndexError, struct.error):
        raise image_error("image_truncated", limits) from None
    _check_size(header, limits)
    if header.ending == "cut":
        raise image_error("image_truncated", limits)
    return header


def _check_size(header: Header, limits: ImageLimits) -> None:
    most = max(limits.max_pixels, limits.max_jpeg_pixels if header.can_shrink else 0)
    if header.width * header.height > most:
        raise image_error("too_many_pixels", limits)
    sides = sorted((header.width, header.height))
    if sides[0] < limits.min_side or sides[1] > limits.max_side:
        raise image_error("image_side_out_of_range", limits)


@dataclass
class _JpegWalk:
    frame: int = 0
    width: int = 0
    height: int = 0
    components: int = 0
    scans: int = 0
    components_in_scan: int = 0
    done: dict[int, int] = field(default_factory=dict)
    """By component, a bit for each of its 64 coefficients that has come with its last bit."""
    segments: int = 0
    restart_interval: int = 0
    junk: int = 0


def _read_jpeg(data: Buffer, limits: ImageLimits) -> Header:
    """Walk the markers once, but none inside a segment (an EXIF thumbnail) or after the end marker.

    The number of scans is what bounds libjpeg's work: 67,000 scans in 2 MB keep it busy for minutes whatever
    the image's size. Raises ServiceError, or IndexError or struct.error where it ends early.
    """
    walk = _JpegWalk()
    position, end = 2, len(data)
    while found := _MARKER.search(data, position):
        _count_junk(walk, found.start() - position, limits)
        position = found.end()
        code = data[position - 1]
        if code == _EOI:
            return _jpeg_header(walk, "whole", limits)
        if code < _FIRST_WITH_LENGTH:
            _count_junk(walk, 2, limits)
            continue
        _take_segment(walk, code, data, position, limits)
        position += struct.unpack_from(">H", data, position)[0]
        if position > end:
            return _jpeg_header(walk, "cut", limits)
    return _jpeg_header(walk, _jpeg_ending(walk), limits)


def _count_junk(walk: _JpegWalk, size: int, limits: ImageLimits) -> None:
    """Pillow steps through what lies between two segments byte by byte, until the first scan."""
    walk.junk += 0 if walk.scans else size
    if walk.junk > _MAX_JUNK:
        raise image_error("invalid_image", limits)


def _take_segment(walk: _JpegWalk, code: int, data: Buffer, position: int, limits: ImageLimits) -> None:
    walk.segments += 1
    if walk.segments > limits.max_chunks:
        raise image_error("too_many_chunks", limits)
    if code == _SOI or struct.unpack_from(">H", data, position)[0] < 2:
        raise image_error("invalid_image", limits)
    if code in _FRAMES:
        if walk.frame:
            raise image_error("invalid_image", limits)
        walk.frame = code
        walk.height, walk.width, walk.components = struct.unpack_from(">HHB", data, position + 3)
    if code == _DRI:
        (walk.restart_interval,) = struct.unpack_from(">H", data, position + 2)
    if code == _SOS:
        walk.scans += 1
        walk.components_in_scan = data[position + 2]
        _note_scan(walk, data, position)
        if walk.scans > limits.max_scans:
            raise image_error("too_many_scans", limits)


def _note_scan(walk: _JpegWalk, data: Buffer, position: int) -> None:
    """Which coefficients a scan completes (ITU T.81, B.2.3): all of them, or in a progressive file a band."""
    count = walk.components_in_scan
    first, last, low_bit = struct.unpack_from(">BBB", data, position + 3 + 2 * count)
    if low_bit & 0x0F or last > _LAST_COEFFICIENT:
        return
    band = (1 << last + 1) - (1 << first)
    for index in range(count):
        component = data[position + 3 + 2 * index]
        walk.done[component] = walk.done.get(component, 0) | band


def _jpeg_ending(walk: _JpegWalk) -> Ending:
    """Whether nothing but the end of the last scan can be missing: see `decode`."""
    complete = [bits for bits in walk.done.values() if bits == _ALL_COEFFICIENTS]
    return "unmarked" if walk.components and len(complete) == walk.components else "cut"


def _jpeg_header(walk: _JpegWalk, ending: Ending, limits: ImageLimits) -> Header:
    if not walk.frame:
        raise image_error("invalid_image" if ending == "whole" else "image_truncated", limits)
    # More scans, or progressive ones, need memory for all coefficients, whatever size they are decoded to.
    one_scan = walk.scans == 1 and walk.components_in_scan == walk.components
    can_shrink = one_scan and walk.frame in _SEQUENTIAL
    return Header(
        Format.JPEG,
        walk.width,
        walk.height,
        ending,
        can_shrink=can_shrink,
        restart_interval=walk.restart_interval,
    )


def _read_png(data: Buffer, limits: ImageLimits) -> Header:
    """Walk the chunks once. Raises ServiceError, or struct.error where the data ends early."""
    if _PNG_CHUNK.unpack_from(data, _PNG_SIGNATURE) != (13, b"IHDR"):
        raise image_error("invalid_image", limits)
    width, height, bit_depth = _PNG_IHDR.unpack_from(data, _PNG_SIGNATURE + _PNG_CHUNK.size)
    ending = "whole" if _png_has_end(data, limits) else "cut"
    return Header(Format.PNG, width, height, ending, bit_depth)  # type: ignore[arg-type]


def _png_has_end(data: Buffer, limits: ImageLimits) -> bool:
    position, end = _PNG_SIGNATURE, len(data)
    for _ in range(limits.max_chunks):
        if position + _PNG_AROUND > end:
            return False
        length, kind = _PNG_CHUNK.unpack_from(data, position)
        position += _PNG_AROUND + length
        if kind == b"IEND":
            return bool(position <= end)
    raise image_error("too_many_chunks", limits)


def _read_webp(data: Buffer, limits: ImageLimits) -> Header:
    """The size that libwebp will allocate. Raises ServiceError, or IndexError where the data ends early."""
    kind = bytes(data[12:16])
    if kind == b"VP8X":
        width, height = _number(data, 24, 3) + 1, _number(data, 27, 3) + 1
    elif kind == b"VP8L":
        bits = _number(data, _WEBP_DATA + 1, 4)
        width, height = (bits & _SIDE_MASK) + 1, (bits >> 14 & _SIDE_MASK) + 1
        _expect(bytes(data[_WEBP_DATA : _WEBP_DATA + 1]) == _LOSSLESS_START, limits)
    else:
        width, height = _number(data, 26, 2) & _SIDE_MASK, _number(data, 28, 2) & _SIDE_MASK
        _expect(kind == b"VP8 " and bytes(data[23:26]) == _LOSSY_START, limits)
    whole = _number(data, 4, 4) + 8 <= len(data)
    return Header(Format.WEBP, width, height, "whole" if whole else "cut")


def _number(data: Buffer, position: int, size: int) -> int:
    if position + size > len(data):
        raise IndexError
    return int.from_bytes(data[position : position + size], "little")


def _expect(condition: bool, limits: ImageLimits) -> None:
    if not condition:
        raise image_error("invalid_image", limits)


_READERS = {
    Format.JPEG: _read_jpeg,
    Format.PNG: _read_png,
    Format.WEBP: _read_webp,
    Format.GIF: read_gif,
    Format.BMP: read_bmp,
    Format.TIFF: read_tiff,
    Format.AVIF: read_avif,
    Format.HEIC: read_heic,
}
