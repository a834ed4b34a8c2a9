"""Checks in pure Python before Pillow sees a byte: format, size, number of scans and of parts, ending.

PNG: size, bit depth and ending from the chunk list alone; WebP: canvas size and ending from
the first chunk alone.
"""

from __future__ import annotations

import re
import struct

from hailo_common.images import jpeg
from hailo_common.images.limits import Buffer, Format, Header, ImageLimits, image_error

_CHUNK_DATA = 20
_LOSSY_START = b"\x9d\x01\x2a"
_LOSSLESS_START = b"\x2f"
_SIDE_MASK = 0x3FFF


def _read_webp(data: Buffer, limits: ImageLimits) -> Header:
    """The size that libwebp will allocate. Raises ServiceError, or IndexError where the data ends early."""
    kind = bytes(data[12:16])
    if kind == b"VP8X":
        width, height = _number(data, 24, 3) + 1, _number(data, 27, 3) + 1
    elif kind == b"VP8L":
        bits = _number(data, _CHUNK_DATA + 1, 4)
        width, height = (bits & _SIDE_MASK) + 1, (bits >> 14 & _SIDE_MASK) + 1
        _expect(bytes(data[_CHUNK_DATA : _CHUNK_DATA + 1]) == _LOSSLESS_START, limits)
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


_CHUNK = struct.Struct(">I4s")
_IHDR = struct.Struct(">IIB")
_SIGNATURE = 8
_AROUND = 12
"""Bytes of a chunk beside its data: length, type, checksum."""


def _read_png(data: Buffer, limits: ImageLimits) -> Header:
    """Walk the chunks once. Raises ServiceError, or struct.error where the data ends early."""
    if _CHUNK.unpack_from(data, _SIGNATURE) != (13, b"IHDR"):
        raise image_error("invalid_image", limits)
    width, height, bit_depth = _IHDR.unpack_from(data, _SIGNATURE + _CHUNK.size)
    ending = "whole" if _has_end(data, limits) else "cut"
    return Header(Format.PNG, width, height, ending, bit_depth)  # type: ignore[arg-type]


def _has_end(data: Buffer, limits: ImageLimits) -> bool:
    position, end = _SIGNATURE, len(data)
    for _ in range(limits.max_chunks):
        if position + _AROUND > end:
            return False
        length, kind = _CHUNK.unpack_from(data, position)
        position += _AROUND + length
        if kind == b"IEND":
            return bool(position <= end)
    raise image_error("too_many_chunks", limits)


_MAGIC = re.compile(rb"(?P<JPEG>\xff\xd8\xff)|(?P<PNG>\x89PNG\r\n\x1a\n)|(?P<WEBP>RIFF....WEBP)", re.DOTALL)
_READERS = {Format.JPEG: jpeg.read, Format.PNG: _read_png, Format.WEBP: _read_webp}


def sniff(data: Buffer, limits: ImageLimits) -> Format:
    """The format by its magic number; raises BadRequest for no data, UnsupportedMedia for any other."""
    if not len(data):
        raise image_error("image_empty", limits)
    found = _MAGIC.match(data)
    if found is None or found.lastgroup is None:
        raise image_error("unsupported_image_format", limits)
    return Format(found.lastgroup)


def inspect(data: Buffer, limits: ImageLimits) -> Header:
    """Read the header and hold it against `limits`; linear in the length of `data`. Raises ServiceError."""
    if len(data) > limits.max_bytes:
        raise image_error("image_too_large", limits)
    reader = _READERS[sniff(data, limits)]
    try:
        header = reader(data, limits)
    except (IndexError, struct.error):
        raise image_error("image_truncated", limits) from None
    _check_size(header, limits)
    if header.ending == "cut":
        raise image_error("image_truncated", limits)
    return header


def _check_size(header: Header, limits: ImageLimits) -> None:
    if header.width * header.height > limits.max_pixels:
        raise image_error("too_many_pixels", limits)
    sides = sorted((header.width, header.height))
    if sides[0] < limits.min_side or sides[1] > limits.max_side:
        raise image_error("image_side_out_of_range", limits)
