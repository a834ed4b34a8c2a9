"""A WebP file's canvas size and ending, from its first chunk alone."""

from __future__ import annotations

from hailo_common.images.formats import Buffer, Format, Header
from hailo_common.images.limits import Limits
from hailo_common.images.refusals import refusal

_CHUNK_DATA = 20
_LOSSY_START = b"\x9d\x01\x2a"
_LOSSLESS_START = b"\x2f"
_SIDE_MASK = 0x3FFF


def read(data: Buffer, limits: Limits) -> Header:
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


def _expect(condition: bool, limits: Limits) -> None:
    if not condition:
        raise refusal("invalid_image", limits)
