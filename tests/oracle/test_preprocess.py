"""Decoding, resizing and normalising against the PIL processor of transformers."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hailo_common.inference.model_dir import ModelDir
from hailo_florence.model.preprocess import Normaliser, read_image_settings
from tests.hailo_florence.cases import FOLDERS
from tests.limits import decode

pytestmark = pytest.mark.oracle
SIZES = ((64, 64), (640, 480), (300, 900), (1920, 1080), (31, 17))


def photograph(width: int, height: int) -> Image.Image:
    """Smooth colours with noise on them, as a camera gives."""
    noise = np.random.default_rng(width).normal(0, 12, (height, width, 3))
    y, x = np.mgrid[:height, :width]
    waves = [127 + 100 * np.sin(x / (20 + 9 * c) + y / (31 - 7 * c)) for c in range(3)]
    return Image.fromarray(np.clip(np.stack(waves, -1) + noise, 0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str) -> bytes:
    memory = io.BytesIO()
    image.save(memory, kind, **({"lossless": True} if kind == "WEBP" else {}))
    return memory.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", FOLDERS)
def test_pixel_values(name: str, size: tuple[int, int], kind: str) -> None:
    from tests.oracle.reference import image_processor  # noqa: PLC0415 - needs torch

    folder = FOLDERS[name]
    data = encoded(photograph(*size), kind)
    settings = read_image_settings(ModelDir(folder))
    decoded = decode(data, replace(settings.target, exact=True))
    image = np.frombuffer(decoded.rgb, np.uint8).reshape(decoded.height, decoded.width, 3)
    ours = Normaliser(settings)(image)

    processor = image_processor(folder)
    theirs = processor(Image.open(io.BytesIO(data)).convert("RGB"), return_tensors="np")["pixel_values"]
    worst = np.abs(ours - theirs).max(axis=(0, 2, 3)) / settings.scale
    assert worst.max() <= 1.0 + 1e-3, "more than 1/255 in a channel"


def test_the_settings_are_those_of_the_processor() -> None:
    from tests.oracle.reference import image_processor  # noqa: PLC0415 - needs torch

    for folder in FOLDERS.values():
        processor = image_processor(folder)
        target = read_image_settings(ModelDir(Path(folder))).target
        assert (target.height, target.width) == (processor.size["height"], processor.size["width"])
        assert target.resample == processor.resample
