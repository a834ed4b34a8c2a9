"""Qwen2-VL's sizes: the published rule, reached by the decoder and checked by the parent."""

from __future__ import annotations

import math
import os
import random

import pytest
from PIL import Image

from hailo_common.errors import BadRequest
from hailo_common.images.decoder import ImageDecoder, decoded_image_of
from hailo_common.images.limits import Format
from hailo_common.images.resize import AspectRatioError, ResizeSpec, smart_resize
from tests.hailo_common.images.make import encode, scene, with_exif
from tests.hailo_common.images.running import with_decoder
from tests.limits import decode, image_limits

SMART = ResizeSpec(fit="smart", factor=28, min_pixels=56 * 56, max_pixels=28 * 28 * 64)
BOUNDS = {"factor": 28, "min_pixels": 3136, "max_pixels": 12_845_056}


@pytest.mark.parametrize(
    ("size", "bounds", "expected"),
    [
        ((1920, 1080), BOUNDS, (1932, 1092)),
        ((3840, 2160), BOUNDS, (3836, 2156)),
        ((640, 480), BOUNDS, (644, 476)),
        ((336, 336), BOUNDS, (336, 336)),
        ((14, 14), BOUNDS, (56, 56)),
        ((42, 42), BOUNDS, (56, 56)),
        ((2, 400), BOUNDS, (28, 812)),
        ((7, 1400), BOUNDS, (28, 812)),
        ((5000, 4000), BOUNDS, (4004, 3192)),
        ((1000, 700), {**BOUNDS, "max_pixels": 28 * 28 * 256}, (532, 364)),
    ],
)
def test_sizes_of_the_published_rule(
    size: tuple[int, int], bounds: dict[str, int], expected: tuple[int, int]
) -> None:
    assert smart_resize(*size, **bounds) == expected == published(*size, **bounds)


def published(width: int, height: int, factor: int, min_pixels: int, max_pixels: int) -> tuple[int, int]:
    """The rule as Qwen's paper and processors state it, one side at a time."""
    tall, wide = round(height / factor) * factor, round(width / factor) * factor
    if tall * wide > max_pixels:
        scale = math.sqrt(height * width / max_pixels)
        tall = max(factor, math.floor(height / scale / factor) * factor)
        wide = max(factor, math.floor(width / scale / factor) * factor)
    elif tall * wide < min_pixels:
        scale = math.sqrt(min_pixels / (height * width))
        tall, wide = math.ceil(height * scale / factor) * factor, math.ceil(width * scale / factor) * factor
    return wide, tall


def test_many_sizes_keep_the_rule_and_its_bounds() -> None:
    dice = random.Random(5)
    for _ in range(20_000):
        factor = dice.choice((4, 8, 14, 28, 32))
        low = factor * factor * dice.randint(1, 16)
        bounds = {"factor": factor, "min_pixels": low, "max_pixels": low * dice.randint(4, 4000)}
        width, height = dice.randint(1, 9000), dice.randint(1, 9000)
        if max(width, height) > 200 * min(width, height):
            with pytest.raises(AspectRatioError):
                smart_resize(width, height, **bounds)
            continue
        got = smart_resize(width, height, **bounds)
        assert got == published(width, height, **bounds)
        assert got[0] % factor == got[1] % factor == 0
        assert got[0] * got[1] >= low
        assert got[0] * got[1] <= bounds["max_pixels"] or factor in got


@pytest.mark.oracle
def test_transformers_says_the_same() -> None:
    processor = pytest.importorskip("transformers.models.qwen2_vl.image_processing_pil_qwen2_vl")
    dice = random.Random(6)
    for _ in range(5000):
        width, height = dice.randint(30, 5000), dice.randint(30, 5000)
        expected = processor.smart_resize(height, width, **BOUNDS)
        assert smart_resize(width, height, **BOUNDS) == tuple(expected[::-1])


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_the_upright_size_counts(exact: bool, kind: str, orientation: int) -> None:
    target = ResizeSpec(**{**SMART.to_json(), "exact": exact})
    data = encode(scene(700, 300), kind, exif=with_exif(orientation))
    original = (300, 700) if orientation == 6 else (700, 300)
    got = decode(data, target)
    assert (got.original_width, got.original_height) == original
    assert (got.width, got.height) == smart_resize(*original, **bounds_of(target))
    assert len(got.rgb) == got.width * got.height * 3


def bounds_of(target: ResizeSpec) -> dict[str, int]:
    """The keyword arguments of `smart_resize` in a target."""
    return {name: getattr(target, name) for name in ("factor", "min_pixels", "max_pixels")}


def test_exact_is_pillows_bicubic_of_the_whole_image() -> None:
    image = scene(200, 120)
    target = ResizeSpec(**{**SMART.to_json(), "exact": True})
    expected = image.resize((196, 112), Image.Resampling.BICUBIC).tobytes()
    assert decode(encode(image, "PNG"), target).rgb == expected


@pytest.mark.parametrize(("size", "refused"), [((400, 2), False), ((402, 2), True), ((3, 601), True)])
def test_long_thin_images_are_refused_by_their_own_code(size: tuple[int, int], refused: bool) -> None:
    async def body(decoder: ImageDecoder) -> None:
        for kind in ("PNG", "JPEG"):
            data = encode(scene(*size), kind)
            if not refused:
                (await decoder.decode(data, SMART)).close()
                continue
            with pytest.raises(BadRequest) as caught:
                await decoder.decode(data, SMART)
            assert caught.value.code == "image_aspect_ratio"
        assert decoder.restarts == 0

    with_decoder(body)


def test_images_of_many_sizes_cross_with_the_size_the_rule_gives() -> None:
    async def body(decoder: ImageDecoder) -> None:
        for size in ((64, 48), (500, 31), (33, 900), (2, 2)):
            with await decoder.decode(encode(scene(*size), "PNG"), SMART) as image:
                assert (image.width, image.height) == smart_resize(*size, **bounds_of(SMART))
                assert os.fstat(image.fd).st_size == image.bytes

    with_decoder(body)


@pytest.mark.parametrize("lie", [{"width": 84}, {"original_width": 65}, {"original_height": 9000}])
def test_an_answer_against_the_rule_is_not_believed(lie: dict[str, int]) -> None:
    width, height = smart_resize(64, 48, **bounds_of(SMART))
    truth = {"width": width, "height": height, "original_width": 64, "original_height": 48}
    fd = os.memfd_create("rgb")
    try:
        with pytest.raises(ValueError, match="size"):
            decoded_image_of(
                {**truth, **lie, "format": Format.PNG.value}, [fd], _doubled(SMART, lie), image_limits()
            )
    finally:
        os.close(fd)


def _doubled(target: ResizeSpec, lie: dict[str, int]) -> ResizeSpec:
    """A lie about the original size shows only where another size follows from it."""
    return ResizeSpec(**{**target.to_json(), "factor": 1}) if "original_width" in lie else target
