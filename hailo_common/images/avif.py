"""AVIF through Pillow, which reads it from 11.3 on. A decoder loads it before it gives up its right to
open files.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from hailo_common.images.limits import ImageLimits, image_error

try:
    from PIL import AvifImagePlugin, _avif  # type: ignore[attr-defined,unused-ignore]  # noqa: F401
except ImportError:
    AvifImagePlugin = None  # type: ignore[assignment,unused-ignore]

_ORIENTATION = 0x0112


def open_avif(data: bytes, limits: ImageLimits) -> tuple[Image.Image, int]:
    """The decoded image, and its EXIF orientation.

    Raises ServiceError (`unsupported_image_format`) where Pillow cannot read it, and whatever that raises.
    """
    if AvifImagePlugin is None:
        raise image_error("avif_support_missing", limits)
    with _one_thread():
        AvifImagePlugin.DEFAULT_MAX_THREADS = 1
        image = AvifImagePlugin.AvifImageFile(io.BytesIO(data))
        image.load()
        return image, image.getexif().get(_ORIENTATION, 1)


@contextmanager
def _one_thread() -> Iterator[None]:
    """On one processor the codec starts no threads, which a decoder may not."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
