"""Checks in pure Python before Pillow sees a byte: format, size, number of scans and of parts, ending."""

from __future__ import annotations

import re
import struct

from hailo_common.images import jpeg, png, webp
from hailo_common.images.formats import Buffer, Format, Header
from hailo_common.images.limits import Limits
from hailo_common.images.refusals import refusal

_MAGIC = re.compile(rb"(?P<JPEG>\xff\xd8\xff)|(?P<PNG>\x89PNG\r\n\x1a\n)|(?P<WEBP>RIFF....WEBP)", re.DOTALL)
_READERS = {Format.JPEG: jpeg.read, Format.PNG: png.read, Format.WEBP: webp.read}


def sniff(data: Buffer, limits: Limits) -> Format:
    """The format by its magic number; raises BadRequest for no data, UnsupportedMedia for any other."""
    if not len(data):
        raise refusal("image_empty", limits)
    found = _MAGIC.match(data)
    if found is None or found.lastgroup is None:
        raise refusal("unsupported_image_format", limits)
    return Format(found.lastgroup)


def inspect(data: Buffer, limits: Limits) -> Header:
    """Read the header and hold it against `limits`; linear in the length of `data`. Raises ServiceError."""
    if len(data) > limits.max_bytes:
        raise refusal("image_too_large", limits)
    reader = _READERS[sniff(data, limits)]
    try:
        header = reader(data, limits)
    except (IndexError, struct.error):
        raise refusal("image_truncated", limits) from None
    _check_size(header, limits)
    if header.ending == "cut":
        raise refusal("image_truncated", limits)
    return header


def _check_size(header: Header, limits: Limits) -> None:
    if header.width * header.height > limits.max_pixels:
        raise refusal("too_many_pixels", limits)
    sides = sorted((header.width, header.height))
    if sides[0] < limits.min_side or sides[1] > limits.max_side:
        raise refusal("image_side_out_of_range", limits)
