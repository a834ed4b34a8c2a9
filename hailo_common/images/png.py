"""A PNG file's size, bit depth and ending, from its chunk list alone."""

from __future__ import annotations

import struct

from hailo_common.images.formats import Buffer, Format, Header
from hailo_common.images.limits import Limits
from hailo_common.images.refusals import refusal

_CHUNK = struct.Struct(">I4s")
_IHDR = struct.Struct(">IIB")
_SIGNATURE = 8
_AROUND = 12
"""Bytes of a chunk beside its data: length, type, checksum."""


def read(data: Buffer, limits: Limits) -> Header:
    """Walk the chunks once. Raises ServiceError, or struct.error where the data ends early."""
    if _CHUNK.unpack_from(data, _SIGNATURE) != (13, b"IHDR"):
        raise refusal("invalid_image", limits)
    width, height, bit_depth = _IHDR.unpack_from(data, _SIGNATURE + _CHUNK.size)
    ending = "whole" if _has_end(data, limits) else "cut"
    return Header(Format.PNG, width, height, ending, bit_depth)  # type: ignore[arg-type]


def _has_end(data: Buffer, limits: Limits) -> bool:
    position, end = _SIGNATURE, len(data)
    for _ in range(limits.max_chunks):
        if position + _AROUND > end:
            return False
        length, kind = _CHUNK.unpack_from(data, position)
        position += _AROUND + length
        if kind == b"IEND":
            return bool(position <= end)
    raise refusal("too_many_chunks", limits)
