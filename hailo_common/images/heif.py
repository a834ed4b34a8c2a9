"""AVIF and HEIC through whichever library this machine has. The only module that imports `pillow_heif`.

Pillow reads AVIF from 11.3 on; Debian 13 has 11.1, where libheif reads both. It is loaded at the first
such image: most decoders never see one.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from hailo_common.images.limits import Format, ImageLimits, image_error


def open_heif(data: bytes, kind: Format, limits: ImageLimits) -> tuple[Image.Image, int]:
    """The decoded image, and the EXIF orientation that it still lacks.

    Raises ServiceError (`unsupported_image_format`) where no library can read it, and whatever that one
    raises.
    """
    with _one_thread():
        if kind is Format.AVIF:
            try:
                return _avif(data)
            except ImportError:
                pass
        try:
            import pillow_heif  # noqa: PLC0415
        except ImportError:
            name = "heic_support_missing" if kind is Format.HEIC else "avif_support_missing"
            raise image_error(name, limits) from None
        pillow_heif.options.DECODE_THREADS = 1
        image: Image.Image = pillow_heif.open_heif(data, convert_hdr_to_8bit=True).to_pillow()
        image.load()
        return image, 1


def _avif(data: bytes) -> tuple[Image.Image, int]:
    from PIL import AvifImagePlugin, _avif  # type: ignore[attr-defined,unused-ignore]  # noqa: F401, PLC0415

    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    image = AvifImagePlugin.AvifImageFile(io.BytesIO(data))
    image.load()
    return image, image.getexif().get(0x0112, 1)


@contextmanager
def _one_thread() -> Iterator[None]:
    """On one processor codecs start no threads, which a decoder may not."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
