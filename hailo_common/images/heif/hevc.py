"""Header checks of HEVC in pure Python: how large the frames are that a decoder would allocate, and how many.

Sources: ITU-T H.265 7.3 (parameter sets, NAL units), ISO/IEC 14496-15 8.3.3 (the box `hvcC`). All of it
raises ServiceError, or IndexError or struct.error where the data ends early.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from hailo_common.images.bits import Bits
from hailo_common.images.limits import Buffer, ImageLimits, image_error

_HEADER = 22
"""Bytes of `hvcC` before its lists of NAL units."""
_MAX_SETS, _MAX_UNITS, _MAX_ZEROS = 16, 4096, 31
_NAL_HEADER = 2
_KEY_FRAMES = range(16, 22)
_SEQUENCE = 33
_HARMLESS = frozenset((32, 33, 34, 35, 36, 37, 38, 39, 40))
"""Parameter sets, delimiters, filler and remarks."""
_HEAD = 128
"""Bytes of a parameter set in which its sizes stand."""
_DEPTHS = range(8, 13)
_ALIGNMENT = 64
"""Pixels by which a frame may be larger than the image it holds."""


def parameter_sets(config: Buffer, limits: ImageLimits) -> tuple[int, list[bytes]]:
    """How many bytes the length of a NAL unit takes, and the units that every frame needs, from `hvcC`."""
    found: list[bytes] = []
    at = _HEADER + 1
    for _ in range(config[_HEADER]):
        (count,) = struct.unpack_from(">H", config, at + 1)
        at += 3
        for _ in range(count):
            (length,) = struct.unpack_from(">H", config, at)
            unit = bytes(config[at + 2 : at + 2 + length])
            at += 2 + length
            if at > len(config):
                raise IndexError
            found.append(unit)
            if len(found) > _MAX_SETS:
                raise image_error("too_many_chunks", limits)
    return (config[_HEADER - 1] & 3) + 1, found


def units(data: Buffer, length_bytes: int, limits: ImageLimits) -> Iterator[bytes]:
    """The NAL units of an item's data."""
    at, count = 0, 0
    while at < len(data):
        length = int.from_bytes(data[at : at + length_bytes], "big")
        at += length_bytes
        count += 1
        if count > _MAX_UNITS:
            raise image_error("too_many_chunks", limits)
        if at + length > len(data):
            raise IndexError
        if length < _NAL_HEADER:
            raise image_error("invalid_image", limits)
        yield bytes(data[at : at + length])
        at += length


def check_sets(sets: list[bytes], size: tuple[int, int], limits: ImageLimits) -> None:
    """The parameter sets of a file describe frames of about this size."""
    for unit in sets:
        if len(unit) < _NAL_HEADER or _kind(unit) not in _HARMLESS:
            raise image_error("invalid_image", limits)
        if _kind(unit) == _SEQUENCE:
            _check_sequence(unit, size, limits)


def check_frame(frame: Iterator[bytes], size: tuple[int, int], limits: ImageLimits) -> None:
    """One key frame, and nothing of another size or that needs another frame."""
    starts = 0
    for unit in frame:
        kind = _kind(unit)
        if kind in _KEY_FRAMES:
            starts += unit[_NAL_HEADER] >> 7
        elif kind not in _HARMLESS:
            raise image_error("invalid_image", limits)
        elif kind == _SEQUENCE:
            _check_sequence(unit, size, limits)
        if starts > 1:
            raise image_error("invalid_image", limits)
    if not starts:
        raise image_error("image_truncated", limits)


def _kind(unit: bytes) -> int:
    return unit[0] >> 1 & 63


def _check_sequence(unit: bytes, size: tuple[int, int], limits: ImageLimits) -> None:
    wide, high = _sequence_size(unit, limits)
    if wide > size[0] + _ALIGNMENT or high > size[1] + _ALIGNMENT:
        raise image_error("invalid_image", limits)


def _sequence_size(unit: bytes, limits: ImageLimits) -> tuple[int, int]:
    """The size of the frames that a sequence parameter set describes, with what is cut off."""
    bits = Bits(_unescaped(unit[_NAL_HEADER:_HEAD]))
    bits.read(4)
    layers = bits.read(3)
    bits.read(1)
    _skip_profile(bits, layers)
    _exp_golomb(bits, limits)
    chroma = _exp_golomb(bits, limits)
    if chroma > 3 or (chroma == 3 and bits.read(1)):
        raise image_error("invalid_image", limits)
    size = _exp_golomb(bits, limits), _exp_golomb(bits, limits)
    if bits.read(1):
        for _ in range(4):
            _exp_golomb(bits, limits)
    depths = {8 + _exp_golomb(bits, limits), 8 + _exp_golomb(bits, limits)}
    if not depths <= set(_DEPTHS):
        raise image_error("invalid_image", limits)
    return size


def _skip_profile(bits: Bits, layers: int) -> None:
    """Profiles and levels: 88 and 8 bits, and the same again for each layer that says it has some."""
    bits.read(96)
    marks = [(bits.read(1), bits.read(1)) for _ in range(layers)]
    if layers:
        bits.read(2 * (8 - layers))
    for profile, level in marks:
        bits.read(88 * profile + 8 * level)


def _exp_golomb(bits: Bits, limits: ImageLimits) -> int:
    zeros = 0
    while not bits.read(1):
        zeros += 1
        if zeros > _MAX_ZEROS:
            raise image_error("invalid_image", limits)
    return (1 << zeros) - 1 + bits.read(zeros)


def _unescaped(data: bytes) -> bytes:
    """Without the bytes that keep start codes out of the data."""
    return data.replace(b"\0\0\3", b"\0\0")
