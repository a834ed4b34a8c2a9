from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hailo_common.errors import ModelError, ModelMissing
from hailo_common.images.resize import ResizeSpec
from hailo_common.inference.model_dir import ModelDir
from hailo_florence.model.preprocess import Normaliser, image_settings, read_image_settings

USUAL: dict[str, Any] = {
    "size": {"height": 6, "width": 4},
    "rescale_factor": 1 / 255,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
}
IMAGE = np.random.default_rng(1).integers(0, 256, (6, 4, 3), np.uint8)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, ResizeSpec(4, 6)),
        ({"resample": 2}, ResizeSpec(4, 6, resample=2)),
        ({"do_center_crop": True, "crop_size": {"height": 8, "width": 9}}, ResizeSpec(9, 8)),
        ({"do_center_crop": True, "crop_size": 8, "size": {"shortest_edge": 8}}, ResizeSpec(8, 8)),
        ({"do_center_crop": False, "crop_size": {"height": 8, "width": 9}}, ResizeSpec(4, 6)),
        ({"size": 7}, ResizeSpec(7, 7)),
    ],
)
def test_target(change: dict[str, Any], expected: ResizeSpec) -> None:
    assert image_settings({**USUAL, **change}).target == expected


@pytest.mark.parametrize(
    "change",
    [
        {"size": {"shortest_edge": 224}},
        {"size": None},
        {"size": {"height": 0, "width": 4}},
        {"size": {"height": "6", "width": 4}},
        {"size": True},
        {"do_center_crop": True},
        {"image_mean": None},
        {"image_mean": [0.5, 0.5]},
        {"image_std": [1, 0, 1]},
        {"image_std": [1, "1", 1]},
        {"rescale_factor": "x"},
        {"resample": "bicubic"},
    ],
)
def test_unusable_settings_name_the_file(change: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=r"preprocessor_config\.json: expected"):
        image_settings({**USUAL, **change})


def test_newer_file_of_transformers(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match=r"preprocessor_config\.json"):
        read_image_settings(ModelDir(tmp_path))
    (tmp_path / "processor_config.json").write_text(
        '{"image_processor": {"size": {"height": 6, "width": 4}, "do_normalize": false}}'
    )
    assert read_image_settings(ModelDir(tmp_path)).target == ResizeSpec(4, 6)


@pytest.mark.parametrize("rescale", [True, False])
@pytest.mark.parametrize("normalise", [True, False])
def test_numbers_are_those_of_the_formula(rescale: bool, normalise: bool) -> None:
    values = {**USUAL, "do_rescale": rescale, "do_normalize": normalise}
    expected = IMAGE.astype(np.float64) / (255 if rescale else 1)
    if normalise:
        expected = (expected - USUAL["image_mean"]) / USUAL["image_std"]
    made = Normaliser(image_settings(values))(IMAGE)
    assert made.shape == (1, 3, 6, 4)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made[0], expected.transpose(2, 0, 1), rtol=2e-6, atol=2e-6)


def test_half_precision() -> None:
    settings = image_settings(USUAL)
    half = Normaliser(settings, np.dtype(np.float16))(IMAGE)
    assert half.dtype == np.float16
    np.testing.assert_allclose(half, Normaliser(settings)(IMAGE), atol=2e-3)


def test_read_only_and_strided_images() -> None:
    normalise = Normaliser(image_settings(USUAL))
    expected = normalise(IMAGE).copy()
    strided = np.asfortranarray(IMAGE)
    strided.flags.writeable = False
    np.testing.assert_array_equal(normalise(strided), expected)


@pytest.mark.parametrize("image", [IMAGE[:5], IMAGE[..., :1], IMAGE.astype(np.float32)])
def test_other_images_are_refused(image: Any) -> None:
    with pytest.raises(ValueError, match="expected a uint8 image"):
        Normaliser(image_settings(USUAL))(image)
