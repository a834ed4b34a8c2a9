"""A JPEG file's frame size, number of scans and ending, from its markers alone.

The number of scans is what bounds libjpeg's work: 67,000 scans in 2 MB keep it busy for minutes whatever the
picture's size. Markers inside a segment (an EXIF thumbnail) do not count, nor anything after the end marker.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from hailo_common.images.limits import Buffer, Ending, Format, Header, ImageLimits, image_error

# Not stuffed data, fill, TEM or a restart: what libjpeg's next_marker() would act on.
_MARKER = re.compile(rb"\xff[^\x00\x01\xff\xd0-\xd7]")
_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL = (0xC0, 0xC1)
_FIRST_WITH_LENGTH = 0xC0
_JUNK_BYTES = 64 * 1024


@dataclass
class _Walk:
    frame: int = 0
    width: int = 0
    height: int = 0
    components: int = 0
    scans: int = 0
    components_in_scan: int = 0
    segments: int = 0
    junk: int = 0


def read(data: Buffer, limits: ImageLimits) -> Header:
    """Walk the markers once. Raises ServiceError, or IndexError or struct.error where it ends early."""
    walk = _Walk()
    position, end = 2, len(data)
    while found := _MARKER.search(data, position):
        _count_junk(walk, found.start() - position, limits)
        position = found.end()
        code = data[position - 1]
        if code == _EOI:
            return _header(walk, "whole", limits)
        if code < _FIRST_WITH_LENGTH:
            _count_junk(walk, 2, limits)
            continue
        _take_segment(walk, code, data, position, limits)
        position += struct.unpack_from(">H", data, position)[0]
        if position > end:
            return _header(walk, "cut", limits)
    return _header(walk, "cut" if data[-1] == 0xFF else _ending(walk), limits)


def _count_junk(walk: _Walk, size: int, limits: ImageLimits) -> None:
    """Pillow steps through what lies between two segments byte by byte, until the first scan."""
    walk.junk += 0 if walk.scans else size
    if walk.junk > _JUNK_BYTES:
        raise image_error("invalid_image", limits)


def _take_segment(walk: _Walk, code: int, data: Buffer, position: int, limits: ImageLimits) -> None:
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
    if code == _SOS:
        walk.scans += 1
        walk.components_in_scan = data[position + 2]
        if walk.scans > limits.max_scans:
            raise image_error("too_many_scans", limits)


def _ending(walk: _Walk) -> Ending:
    """Only one interleaved scan can be told whole without its end marker: see `decode`."""
    single = walk.scans == 1 and walk.components_in_scan == walk.components
    return "unmarked" if single and walk.frame in _SEQUENTIAL else "cut"


def _header(walk: _Walk, ending: Ending, limits: ImageLimits) -> Header:
    if not walk.frame:
        raise image_error("invalid_image" if ending == "whole" else "image_truncated", limits)
    return Header(Format.JPEG, walk.width, walk.height, ending)
