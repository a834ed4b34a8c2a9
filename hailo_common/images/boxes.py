"""Header checks of AVIF, and the boxes of HEIC, in pure Python: sizes they name, and those a codec will meet.

A few bytes may name a grid of thousands of tiles, and a small box may hold a huge frame; so the codec's own
headers are read as well. Sources: ISO/IEC 14496-12 (boxes), 23008-12 (HEIF), AV1 bitstream specification 5.5.
All of it raises ServiceError, or IndexError or struct.error where the data ends early.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from hailo_common.images.bits import Bits
from hailo_common.images.limits import Buffer, Format, Header, ImageLimits, image_error

_MAX_BOXES, _MAX_ITEMS, _MAX_EXTENTS, _MAX_UNITS = 256, 1024, 8, 4096
_MAX_PROPERTIES = 64
_MAX_READS = 4
"""How often all of a file may be read: a thousand items in one place would be gigabytes of copies."""
_TOTAL_AREA = 3
"""All coded images of a file together, in `max_pixels`: tiles, transparency, a gain map, thumbnails."""
_CODED = b"av01"
_ALIGNMENT = 64
"""Pixels by which a frame may be larger than the image it holds."""
_SEQUENCE, _FRAME_HEADER, _FRAME = 1, 3, 6
_MAX_FRAMES = 4


@dataclass
class Item:
    """An image, a piece of one, or what belongs to it."""

    kind: bytes = b""
    extents: list[tuple[int, int, int]] = field(default_factory=list)
    """Place (0 in the file, 1 in the idat box), offset and length."""
    properties: list[int] = field(default_factory=list)


class Meta:
    """The boxes below `meta` that describe the images of a file."""

    def __init__(self, data: memoryview, limits: ImageLimits) -> None:
        self.limits = limits
        self.items: dict[int, Item] = {}
        self.parts: dict[int, tuple[int, ...]] = {}
        """The items that an item is put together from, in their order."""
        self.owners: dict[int, int] = {}
        """The item that an auxiliary one belongs to."""
        self.primary = 0
        self.taken = 0
        """Bytes of items that were read, some more than once where encoders store equal pieces once."""
        self.idat = memoryview(b"")
        self.properties: list[tuple[bytes, memoryview]] = []
        readers = {
            b"pitm": self._pitm,
            b"iinf": self._iinf,
            b"iloc": self._iloc,
            b"iprp": self._iprp,
            b"iref": self._iref,
        }
        for kind, body in _boxes(data[4:], limits):
            if kind == b"idat":
                self.idat = body
            elif kind in readers:
                readers[kind](body)

    def item(self, number: int) -> Item:
        """The item of a number, which every box may be the first to name."""
        if len(self.items) > _MAX_ITEMS:
            raise image_error("too_many_chunks", self.limits)
        return self.items.setdefault(number, Item())

    def of(self, item: Item, kind: bytes) -> memoryview | None:
        """An item's property of a kind."""
        return next((body for name, body in self.each(item) if name == kind), None)

    def each(self, item: Item) -> Iterator[tuple[bytes, memoryview]]:
        """Kind and contents of an item's properties, in their order."""
        for index in item.properties:
            yield self.properties[index - 1]

    def size(self, item: Item) -> tuple[int, int]:
        """The size an item says it has."""
        body = self.of(item, b"ispe")
        if body is None:
            raise image_error("invalid_image", self.limits)
        width, height = struct.unpack_from(">II", body, 4)
        return width, height

    def payload(self, item: Item, file: memoryview) -> bytes:
        """An item's data."""
        pieces = []
        for place, offset, length in item.extents:
            whole = self.idat if place else file
            if offset + length > len(whole):
                raise IndexError
            self.taken += length
            if self.taken > _MAX_READS * len(file):
                raise image_error("invalid_image", self.limits)
            pieces.append(bytes(whole[offset : offset + length]))
        return b"".join(pieces)

    def _pitm(self, body: memoryview) -> None:
        (self.primary,) = struct.unpack_from(">I" if body[0] else ">H", body, 4)

    def _iinf(self, body: memoryview) -> None:
        for kind, entry in _boxes(body[8 if body[0] else 6 :], self.limits, _MAX_ITEMS):
            if kind == b"infe" and entry[0] >= 2:
                wide = entry[0] > 2
                (number,) = struct.unpack_from(">I" if wide else ">H", entry, 4)
                at = 10 if wide else 8
                self.item(number).kind = bytes(entry[at : at + 4])

    def _iloc(self, body: memoryview) -> None:
        version, bits = body[0], Bits(body[4:])
        offset_size, length_size, base_size, index_size = (bits.read(4) * 8 for _ in range(4))
        count = bits.read(32 if version == 2 else 16)
        for _ in range(min(count, _MAX_ITEMS + 1)):
            item = self.item(bits.read(32 if version == 2 else 16))
            place = bits.read(16) & 0xF if version else 0
            bits.read(16)
            base, extents = bits.read(base_size), bits.read(16)
            if extents > _MAX_EXTENTS or place > 1:
                raise image_error("invalid_image", self.limits)
            for _ in range(extents):
                bits.read(index_size if version else 0)
                item.extents.append((place, base + bits.read(offset_size), bits.read(length_size)))

    def _iref(self, body: memoryview) -> None:
        wide = body[0] > 0
        for kind, entry in _boxes(body[4:], self.limits, _MAX_ITEMS):
            if kind not in (b"dimg", b"auxl"):
                continue
            number, count = struct.unpack_from(">IH" if wide else ">HH", entry)
            if count > _MAX_ITEMS:
                raise image_error("too_many_chunks", self.limits)
            named = struct.unpack_from(f">{count}{'I' if wide else 'H'}", entry, 6 if wide else 4)
            if kind == b"dimg":
                self.parts[number] = named
            elif named:
                self.owners[number] = named[0]

    def _iprp(self, body: memoryview) -> None:
        for kind, inner in _boxes(body, self.limits):
            if kind == b"ipco":
                self.properties += list(_boxes(inner, self.limits, _MAX_ITEMS))
            elif kind == b"ipma":
                self._ipma(inner)

    def _ipma(self, body: memoryview) -> None:
        wide_ids, wide_indexes, bits = body[0] > 0, body[3] & 1, Bits(body[4:])
        for _ in range(min(bits.read(32), _MAX_ITEMS + 1)):
            item = self.item(bits.read(32 if wide_ids else 16))
            for _ in range(bits.read(8)):
                bits.read(1)
                index = bits.read(15 if wide_indexes else 7)
                if index:
                    item.properties.append(index)
            if len(item.properties) > _MAX_PROPERTIES:
                raise image_error("too_many_chunks", self.limits)


def _boxes(
    data: memoryview, limits: ImageLimits, most: int = _MAX_BOXES
) -> Iterator[tuple[bytes, memoryview]]:
    """Kind and contents of each box in the data."""
    at, count = 0, 0
    while at + 8 <= len(data):
        size, head = int.from_bytes(data[at : at + 4], "big"), 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        size = size or len(data) - at
        count += 1
        if size < head or count > most:
            raise image_error("invalid_image" if size < head else "too_many_chunks", limits)
        if at + size > len(data):
            raise IndexError
        yield bytes(data[at + 4 : at + 8]), data[at + head : at + size]
        at += size


def read_meta(file: memoryview, limits: ImageLimits) -> Meta | None:
    """What a file says of its images; None where it says nothing."""
    return next((Meta(body, limits) for kind, body in _boxes(file, limits) if kind == b"meta"), None)


def read_avif(data: Buffer, limits: ImageLimits) -> Header:
    """The primary image's size, as a viewer shows it; every coded image of the file is held against the
    limits.
    """
    file = memoryview(data)
    meta = read_meta(file, limits)
    primary = meta.items.get(meta.primary) if meta else None
    if meta is None or primary is None:
        raise image_error("invalid_image", limits)
    width, height = meta.size(primary)
    if primary.kind not in (_CODED, b"grid"):
        raise image_error("invalid_image", limits)
    if primary.kind == b"grid" and grid_size(meta.payload(primary, file)) != (width, height):
        raise image_error("invalid_image", limits)
    if width * height > limits.max_pixels:
        raise image_error("too_many_pixels", limits)
    _check_coded(meta, file, limits)
    width, height = _cropped(meta, primary, width, height)
    turned = (meta.of(primary, b"irot") or b"\0")[0] & 1
    return Header(Format.AVIF, *((height, width) if turned else (width, height)))


def _cropped(meta: Meta, item: Item, width: int, height: int) -> tuple[int, int]:
    """The part of an image that is shown: codecs whose frames are multiples of some pixels cut the rest
    off.
    """
    body = meta.of(item, b"clap")
    if body is None:
        return width, height
    wide, per_wide, high, per_high = struct.unpack_from(">4I", body)
    if not (0 < wide <= width * per_wide and 0 < high <= height * per_high):
        raise image_error("invalid_image", meta.limits)
    return wide // per_wide, high // per_high


def grid_size(data: bytes) -> tuple[int, int]:
    """Width and height of an image that is put together from pieces, as the item of kind `grid` says."""
    width, height = struct.unpack_from(">II" if data[1] & 1 else ">HH", data, 4)
    return width, height


def _check_coded(meta: Meta, file: memoryview, limits: ImageLimits) -> None:
    total = 0
    for item in meta.items.values():
        if item.kind != _CODED:
            continue
        width, height = meta.size(item)
        total += width * height
        if total > _TOTAL_AREA * limits.max_pixels:
            raise image_error("too_many_pixels", limits)
        for real_width, real_height in _av1_sizes(meta.payload(item, file), limits):
            if real_width > width + _ALIGNMENT or real_height > height + _ALIGNMENT:
                raise image_error("invalid_image", limits)


def _av1_sizes(data: bytes, limits: ImageLimits) -> Iterator[tuple[int, int]]:
    """The largest frame that each sequence header allows; raises for many frames, or frames before any
    header.
    """
    at, units, frames, sequences = 0, 0, 0, 0
    while at < len(data):
        kind, flags = data[at] >> 3 & 15, data[at]
        at += 2 if flags & 4 else 1
        length = len(data) - at
        if flags & 2:
            length, at = _leb128(data, at)
        if kind == _SEQUENCE:
            sequences += 1
            yield _av1_sequence(data[at : at + min(length, 64)], limits)
        frames += kind in (_FRAME_HEADER, _FRAME)
        units += 1
        at += length
        if units > _MAX_UNITS or frames > _MAX_FRAMES or (frames and not sequences):
            raise image_error("invalid_image", limits)
    if at > len(data):
        raise IndexError


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(8):
        value |= (data[at + index] & 127) << 7 * index
        if data[at + index] < 128:
            return value, at + index + 1
    raise IndexError


def _av1_sequence(data: bytes, limits: ImageLimits) -> tuple[int, int]:
    bits = Bits(data)
    bits.read(4)
    if bits.read(1):
        bits.read(5)
    else:
        if bits.read(1):
            # Times and models of a decoder belong to videos.
            raise image_error("invalid_image", limits)
        delay = bits.read(1)
        for _ in range(bits.read(5) + 1):
            bits.read(12)
            if bits.read(5) > 7:
                bits.read(1)
            if delay and bits.read(1):
                bits.read(4)
    wide, high = bits.read(4) + 1, bits.read(4) + 1
    return bits.read(wide) + 1, bits.read(high) + 1
