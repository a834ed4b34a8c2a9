"""Frames of a fixed size that keep the aspect ratio: black bars, or the edges cut off."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from hailo_common.errors import BadRequest
from hailo_common.images.resize import ResizeSpec
from tests.hailo_common.images.make import encode, scene, with_exif
from tests.limits import decode

SIDE = 96
LETTERBOX = ResizeSpec(SIDE, SIDE, fit="letterbox")
CROP = ResizeSpec(SIDE, SIDE, fit="crop")
SQUASH = ResizeSpec(SIDE, SIDE)


def pixels(image: Image.Image, target: ResizeSpec, kind: str = "PNG", turn: int = 1) -> NDArray[np.uint8]:
    """The decoded image, (height, width, 3)."""
    options = {"quality": 95, "exif": with_exif(turn)} if kind == "JPEG" else {}
    made = decode(encode(image, kind, **options), target)
    assert (made.width, made.height) == (target.width, target.height)
    return np.frombuffer(made.rgb, np.uint8).reshape(made.height, made.width, 3)


def filled(frame: NDArray[np.uint8]) -> tuple[slice, slice]:
    """Rows and columns that are not black."""
    rows, columns = (np.flatnonzero(frame.sum(axis=(axis, 2))) for axis in (1, 0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("size", [(192, 192), (96, 96), (40, 40), (1000, 1000)])
def test_a_square_image_fills_the_frame_either_way(size: tuple[int, int], kind: str) -> None:
    expected = pixels(scene(*size), SQUASH, kind)
    for target in (LETTERBOX, CROP):
        assert np.array_equal(pixels(scene(*size), target, kind), expected)


@pytest.mark.parametrize(
    ("size", "rows", "columns"),
    [
        ((400, 200), slice(24, 72), slice(0, 96)),
        ((200, 400), slice(0, 96), slice(24, 72)),
        ((30, 10), slice(32, 64), slice(0, 96)),
        ((9000 // 2, 30), slice(47, 48), slice(0, 96)),
        ((97, 96), slice(0, 95), slice(0, 96)),
    ],
)
def test_a_letterbox_shows_all_of_it_in_the_middle(
    size: tuple[int, int], rows: slice, columns: slice
) -> None:
    frame = pixels(scene(*size), LETTERBOX)
    assert filled(frame) == (rows, columns)
    shown = frame[rows, columns]
    squashed = pixels(scene(*size), ResizeSpec(shown.shape[1], shown.shape[0]))
    assert np.array_equal(shown, squashed)


@pytest.mark.parametrize("size", [(400, 200), (200, 400), (30, 10), (4500, 30), (97, 96), (10, 1500)])
def test_a_crop_shows_the_middle_and_nothing_black(size: tuple[int, int]) -> None:
    image = scene(*size)
    short = min(size)
    left, top = (size[0] - short) / 2, (size[1] - short) / 2
    middle = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, (left, top, left + short, top + short))
    difference = pixels(image, CROP).astype(int) - np.asarray(middle).astype(int)
    assert np.abs(difference).mean() < 1


@pytest.mark.parametrize("target", [LETTERBOX, CROP], ids=["letterbox", "crop"])
@pytest.mark.parametrize("turn", range(2, 9))
def test_the_frame_is_that_of_the_upright_image(target: ResizeSpec, turn: int) -> None:
    stored = scene(320, 160)
    turned = Image.open(io.BytesIO(encode(stored, "JPEG", quality=95, exif=with_exif(turn))))
    upright = ImageOps.exif_transpose(turned)
    expected = pixels(upright, target)
    difference = pixels(stored, target, "JPEG", turn).astype(int) - expected.astype(int)
    assert np.abs(difference).mean() < 1.5


@pytest.mark.parametrize("target", [LETTERBOX, CROP], ids=["letterbox", "crop"])
@pytest.mark.parametrize("size", [(3000, 400), (400, 3000), (2048, 1024)])
def test_a_draft_of_a_large_jpeg_is_close_to_the_whole(target: ResizeSpec, size: tuple[int, int]) -> None:
    exact = ResizeSpec(SIDE, SIDE, fit=target.fit, exact=True)
    quick, slow = (pixels(scene(*size), each, "JPEG").astype(int) for each in (target, exact))
    assert np.abs(quick - slow).mean() < 1


@pytest.mark.parametrize("target", [LETTERBOX, CROP], ids=["letterbox", "crop"])
def test_a_ribbon_is_refused_as_everywhere(target: ResizeSpec) -> None:
    with pytest.raises(BadRequest) as caught:
        decode(encode(scene(402, 2), "PNG"), target)
    assert caught.value.code == "image_aspect_ratio"


def test_a_target_crosses_as_json() -> None:
    assert ResizeSpec.from_json(LETTERBOX.to_json()) == LETTERBOX
