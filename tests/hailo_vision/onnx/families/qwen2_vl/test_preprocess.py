"""Patches against a plain loop over the definition, and the settings of three generations of files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hailo_common.errors import ModelError
from hailo_common.inference.hf_config import Pixels
from hailo_common.inference.model_dir import ModelDir
from hailo_vision.onnx.families.qwen2_vl.config import ModelConfig
from hailo_vision.onnx.families.qwen2_vl.preprocess import ImageSettings, Patcher, read_image_settings
from tests.hailo_vision.talk import noise

MEAN, STD = (0.5, 0.25, 0.125), (0.5, 0.2, 0.3)
PIXELS = Pixels(1 / 255, MEAN, STD)
SHAPE = ModelConfig(positions=1000, width=8, head=(1, 8), image_token=9, patch=14, temporal=2, merge=2)


def settings(patch: int, temporal: int, merge: int) -> ImageSettings:
    return ImageSettings(patch, temporal, merge, 1, 10**6, 3, PIXELS)


@pytest.mark.parametrize(("patch", "temporal", "merge"), [(2, 2, 2), (3, 1, 2), (4, 3, 1), (2, 1, 3)])
def test_patches_come_in_the_order_of_merging(patch: int, temporal: int, merge: int) -> None:
    image = noise(1, 3, 2, patch * merge)
    made = Patcher(settings(patch, temporal, merge), np.dtype(np.float32))(image)
    expected = []
    for top in range(0, image.shape[0], patch * merge):
        for left in range(0, image.shape[1], patch * merge):
            for y in range(top, top + patch * merge, patch):
                for x in range(left, left + patch * merge, patch):
                    cut = image[y : y + patch, x : x + patch].astype(np.float32) / 255
                    cut = ((cut - MEAN) / STD).transpose(2, 0, 1)
                    expected.append(np.repeat(cut[:, None], temporal, axis=1).reshape(-1))
    assert made.shape == (3 * 2 * merge * merge, 3 * temporal * patch * patch)
    np.testing.assert_allclose(made, expected, rtol=1e-5, atol=1e-6)


def test_half_precision_and_no_normalising() -> None:
    values = {"do_rescale": False, "do_normalize": False}
    assert Patcher(settings(2, 2, 2), np.dtype(np.float16))(noise(1)).dtype == np.float16
    made = read(values)
    assert made.pixels == Pixels(1.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


@pytest.mark.parametrize("shape", [(12, 13, 3), (11, 12, 3), (0, 12, 3), (12, 12, 4), (12, 12)])
def test_an_image_of_the_wrong_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected"):
        settings(6, 2, 2).grid(np.zeros(shape, np.uint8))


def test_grid_and_tokens() -> None:
    made = settings(6, 2, 2)
    assert made.grid(np.zeros((24, 36, 3), np.uint8)) == (1, 4, 6)
    assert made.tokens((1, 4, 6)) == 6
    with pytest.raises(ValueError, match="uint8"):
        made.grid(np.zeros((24, 36, 3), np.int16))


def read(values: dict[str, Any], context: int = 100_000) -> ImageSettings:
    folder = ModelDir(Path("/nowhere"))
    folder.json = lambda name: json.loads(json.dumps(values))  # type: ignore[method-assign]
    return read_image_settings(folder, SHAPE, context)


NORMAL = {"image_mean": MEAN, "image_std": STD}


@pytest.mark.parametrize(
    ("values", "bounds"),
    [
        ({}, (3136, 1003520)),
        ({"min_pixels": 784, "max_pixels": 7840}, (784, 7840)),
        ({"size": {"min_pixels": 784, "max_pixels": 7840}}, (784, 7840)),
        ({"size": {"shortest_edge": 784, "longest_edge": 7840}}, (784, 7840)),
    ],
)
def test_bounds_of_three_generations(values: dict[str, Any], bounds: tuple[int, int]) -> None:
    made = read({**NORMAL, **values})
    assert (made.min_pixels, made.max_pixels) == bounds
    target = made.target()
    assert (target.fit, target.factor, target.min_pixels, target.max_pixels) == ("smart", 28, *bounds)


def test_a_small_context_bounds_images() -> None:
    made = read(NORMAL, context=100)
    assert made.max_tokens == 75
    assert made.target().max_pixels == 75 * 28 * 28


@pytest.mark.parametrize(
    "values",
    [
        {"patch_size": 16},
        {"merge_size": 1},
        {"temporal_patch_size": 1},
        {"image_std": [0, 1, 1]},
        {"image_mean": [0, 1]},
        {"min_pixels": 10**7},
        {"max_pixels": "many"},
        {"min_pixels": 1, "max_pixels": 100},
    ],
)
def test_impossible_settings(values: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=r"preprocessor_config\.json: expected"):
        read({**NORMAL, **values})
