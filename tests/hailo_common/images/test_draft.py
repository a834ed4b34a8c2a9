"""The quick way through a JPEG differs from the exact one by less than half a grey level on average."""

from __future__ import annotations

import pytest
from PIL import Image, ImageChops, ImageStat

from hailo_common.images.resize import ResizeSpec
from tests.hailo_common.images.make import encode, photo, with_exif
from tests.limits import decode

MEAN_DIFFERENCE = 0.5


def mean_difference(data: bytes, width: int, height: int) -> float:
    """Between quick and exact, in grey levels of 255."""
    both = [decode(data, ResizeSpec(width, height, exact=exact)).rgb for exact in (True, False)]
    exact, quick = (Image.frombytes("RGB", (width, height), rgb) for rgb in both)
    return max(ImageStat.Stat(ImageChops.difference(exact, quick)).mean)


@pytest.mark.parametrize("detail", [0.03, 0.1])
@pytest.mark.parametrize("size", [(3264, 2448), (1600, 1200), (500, 400), (100, 3000)])
@pytest.mark.parametrize("orientation", [1, 6])
def test_quick_is_close_to_exact(detail: float, size: tuple[int, int], orientation: int) -> None:
    data = encode(photo(*size, detail=detail), "JPEG", quality=88, exif=with_exif(orientation))
    assert mean_difference(data, 384, 384) < MEAN_DIFFERENCE


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_a_reducing_gap_is_close_to_exact_too(kind: str) -> None:
    assert mean_difference(encode(photo(1200, 900), kind), 128, 96) < MEAN_DIFFERENCE
