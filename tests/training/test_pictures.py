"""The drawn pictures show what the scenes say, in any size and through JPEG."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest
from PIL import Image

from training.scenes.backgrounds import Background
from training.scenes.foreign_drawing import STYLES, foreign_file
from training.scenes.foreign_scenes import foreign_scene
from training.scenes.palette import COLOURS, contrast, shade
from training.scenes.render import compressed, cover, draw, view
from training.scenes.scenes import LEAST_CONTRAST, SHAPES, Scene, Thing, sample_scene

PLAIN = Background("plain", ((128, 128, 128),), 0.0, "none", 0.0)


@pytest.mark.parametrize("seed", range(12))
def test_object_is_seen_in_its_colour(seed: int) -> None:
    rng = random.Random(seed)
    thing = Thing(SHAPES[seed % 4], "red", (255, 0, 0), (60.0, 90.0), 30.0, 15.0 * seed, 0.5)
    image = draw(Scene(200, 150, (thing,), PLAIN), rng)
    assert image.size == (200, 150)
    assert image.getpixel((60, 90)) == (255, 0, 0)
    assert image.getpixel((150, 20)) == (128, 128, 128)


@pytest.mark.parametrize("shape", SHAPES)
def test_cover_marks_the_object(shape: str) -> None:
    thing = Thing(shape, "blue", (0, 0, 255), (100.0, 50.0), 40.0, 0.0, 0.5)
    marked = cover(Scene(400, 100, (thing,), PLAIN), 64, 64)
    assert marked[32, 16] == 1
    assert marked[:, 32:].sum() == 0
    assert 0.02 < marked.mean() < 0.15


def test_view_is_the_models_square() -> None:
    rng = random.Random(4)
    for _ in range(20):
        seen = view(sample_scene(rng), (128, 128), rng)
        assert seen.shape == (128, 128, 3)
        assert seen.dtype == np.uint8


def test_same_seed_draws_the_same() -> None:
    one, other = (view(sample_scene(random.Random(9)), (64, 64), random.Random(9)) for _ in range(2))
    assert np.array_equal(one, other)


def test_objects_stand_out_from_the_ground() -> None:
    rng = random.Random(6)
    for _ in range(100):
        scene = sample_scene(rng)
        for thing in scene.things:
            assert all(contrast(thing.rgb, ground) >= LEAST_CONTRAST for ground in scene.background.colours)


@pytest.mark.parametrize("colour", COLOURS)
def test_shades_are_colours(colour: str) -> None:
    rng = random.Random(2)
    assert all(0 <= channel <= 255 for _ in range(200) for channel in shade(colour, rng))


def test_jpeg_has_the_images_size() -> None:
    data = compressed(Image.new("RGB", (300, 97), (1, 2, 3)), 60)
    assert Image.open(io.BytesIO(data)).size == (300, 97)


@pytest.mark.parametrize("style", STYLES)
def test_second_renderer_draws_files(style: str) -> None:
    rng = random.Random(8)
    scene = foreign_scene(rng)
    with Image.open(io.BytesIO(foreign_file(scene, style, rng))) as image:
        assert image.size == (scene.width, scene.height)
        assert image.format == ("JPEG" if style == "JPEG" else "PNG")
