"""EXIF orientation 2 to 8 is applied in every format and mode of work; junk is ignored."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image, ImageOps

from hailo_common.images.decode import Decoded
from hailo_common.images.resize import ResizeSpec
from tests.hailo_common.images.make import encode, scene, with_exif
from tests.limits import decode

# Which stored quarter (0 1 over 2 3) is seen top left, top right, bottom left, bottom right.
QUARTERS = {
    1: (0, 1, 2, 3),
    2: (1, 0, 3, 2),
    3: (3, 2, 1, 0),
    4: (2, 3, 0, 1),
    5: (0, 2, 1, 3),
    6: (2, 0, 3, 1),
    7: (3, 1, 2, 0),
    8: (1, 3, 0, 2),
}
JUNK = (0, 9, 255, 65535)
FORMATS: dict[str, dict[str, Any]] = {"JPEG": {"quality": 95}, "PNG": {}, "WEBP": {"lossless": True}}


def corners(image: Decoded) -> list[tuple[int, ...]]:
    """Pixels well inside the four quarters."""
    places = [(x, y) for y in (1, image.height - 2) for x in (1, image.width - 2)]
    starts = [(y * image.width + x) * 3 for x, y in places]
    return [tuple(image.rgb[start : start + 3]) for start in starts]


@pytest.mark.parametrize("orientation", [*QUARTERS, *JUNK])
@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("exact", [True, False])
def test_corners_and_size_are_as_a_viewer_shows_them(orientation: int, kind: str, exact: bool) -> None:
    stored = scene(640, 480)
    upright = decode(encode(stored, kind, **FORMATS[kind]), ResizeSpec(24, 12, exact=exact))
    turned = decode(
        encode(stored, kind, exif=with_exif(orientation), **FORMATS[kind]), ResizeSpec(24, 12, exact=exact)
    )
    expected = [corners(upright)[quarter] for quarter in QUARTERS.get(orientation, QUARTERS[1])]
    for seen, wanted in zip(corners(turned), expected, strict=True):
        assert max(abs(a - b) for a, b in zip(seen, wanted, strict=True)) < 25
    size = (turned.original_width, turned.original_height)
    assert size == ((480, 640) if 5 <= orientation <= 8 else (640, 480))


@pytest.mark.parametrize("orientation", [*QUARTERS, *JUNK])
@pytest.mark.parametrize("resample", [2, 3])
def test_exact_is_the_reference_processor_to_the_last_bit(orientation: int, resample: int) -> None:
    data = encode(scene(331, 247), "JPEG", exif=with_exif(orientation))
    with Image.open(io.BytesIO(data)) as image:
        turned = ImageOps.exif_transpose(image).convert("RGB")
    expected = turned.resize((96, 64), Image.Resampling(resample)).tobytes()
    assert decode(data, ResizeSpec(96, 64, resample=resample, exact=True)).rgb == expected


@pytest.mark.parametrize(
    "junk", [b"Exif\0\0", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0II*\0\x08\0\0\0\xff\xff"]
)
@pytest.mark.parametrize("kind", FORMATS)
def test_junk_exif_refuses_no_image(junk: bytes, kind: str) -> None:
    assert decode(encode(scene(32, 32), kind, exif=junk), ResizeSpec(8, 8)).original_width == 32
