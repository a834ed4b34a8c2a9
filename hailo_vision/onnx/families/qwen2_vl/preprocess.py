"""From an image of the right size to the patches that the vision encoder wants.

Resizing is the decoder process's work (see `hailo_common.images`). Here each pixel is normalised, and the
image cut into patches in the order in which the encoder merges them. A byte has 256 values, so normalising
is a look-up: three tables, made with the arithmetic of transformers 5.23's `Qwen2VLImageProcessorPil`, give
the same bits as it does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hailo_common.engine.contract import RgbImage
from hailo_common.errors import ModelError
from hailo_common.images.resize import ResizeSpec
from hailo_common.inference.hf_config import BICUBIC, Pixels, read_pixels, read_processor
from hailo_common.inference.model_dir import ModelDir, integer_in
from hailo_vision.onnx.families.qwen2_vl.config import ModelConfig
from hailo_vision.onnx.prompt import Grid

_MIN_PIXELS, _MAX_PIXELS = 56 * 56, 28 * 28 * 1280  # pixels, where the file names no bounds
_SHARE = 4, 3  # an image may fill three quarters of the context


@dataclass(frozen=True)
class ImageSettings:
    """What the image processor's file says; `min_pixels` and `max_pixels` bound a resized image."""

    patch: int
    temporal: int
    merge: int
    min_pixels: int
    max_pixels: int
    resample: int
    pixels: Pixels

    @property
    def factor(self) -> int:
        """Both sides of an image are multiples of this many pixels."""
        return self.patch * self.merge

    @property
    def max_tokens(self) -> int:
        """The most tokens that one image takes."""
        return self.max_pixels // self.factor**2

    def target(self) -> ResizeSpec:
        """What the decoder process makes of an image."""
        return ResizeSpec(
            fit="smart",
            resample=self.resample,
            factor=self.factor,
            min_pixels=self.min_pixels,
            max_pixels=self.max_pixels,
        )

    def grid(self, image: RgbImage) -> Grid:
        """The patches of an image; raises ValueError when a side is no multiple of `factor`."""
        height, width = image.shape[:2]
        if image.shape != (height, width, 3) or image.dtype != np.uint8:
            raise ValueError(f"expected a uint8 image of three channels, not {image.shape}")
        if not height or not width or height % self.factor or width % self.factor:
            raise ValueError(f"expected sides that are multiples of {self.factor}, not {image.shape}")
        return 1, height // self.patch, width // self.patch

    def tokens(self, grid: Grid) -> int:
        """How many tokens an image takes in the prompt."""
        return grid[0] * grid[1] * grid[2] // self.merge**2


def read_image_settings(
    folder: ModelDir, config: ModelConfig, context: int, max_tokens: int = 0
) -> ImageSettings:
    """Read patches, bounds and normalisation; raises ModelMissing or ModelError naming the file.

    In a small `context` (tokens) the upper bound becomes three quarters of it: a larger image could never
    be answered. `max_tokens` bounds an image whatever the file says (0 does not), but for the least that the
    model can take.
    """
    values, source = read_processor(folder)
    for key, expected in (
        ("patch_size", config.patch),
        ("temporal_patch_size", config.temporal),
        ("merge_size", config.merge),
    ):
        if integer_in(values, key, source, expected) != expected:
            raise ModelError(f"{source}: expected {expected} for {key!r}, as config.json says")
    area = (config.patch * config.merge) ** 2
    min_pixels, max_pixels = _bounds(values, source)
    max_pixels = min(max_pixels, area * (context * _SHARE[1] // _SHARE[0]))
    if max_tokens:
        max_pixels = min(max_pixels, max(area * max_tokens, -(-min_pixels // area) * area))
    if not area <= max_pixels or min_pixels > max_pixels:
        raise ModelError(f"{source}: expected room for an image in a context of {context} tokens")
    resample = integer_in(values, "resample", source, BICUBIC)
    pixels = read_pixels(values, source)
    return ImageSettings(
        config.patch, config.temporal, config.merge, min_pixels, max_pixels, resample, pixels
    )


def _bounds(values: Mapping[str, Any], source: str) -> tuple[int, int]:
    """Least and most pixels, which three generations of the file name differently."""
    size = values.get("size")
    nested = size if isinstance(size, dict) else {}
    least = values.get("min_pixels") or nested.get("shortest_edge") or nested.get("min_pixels")
    most = values.get("max_pixels") or nested.get("longest_edge") or nested.get("max_pixels")
    bounds = {"min_pixels": least, "max_pixels": most}
    return (
        integer_in(bounds, "min_pixels", source, _MIN_PIXELS),
        integer_in(bounds, "max_pixels", source, _MAX_PIXELS),
    )


class Patcher:
    """Turns images into `pixel_values`."""

    def __init__(self, settings: ImageSettings, dtype: np.dtype[Any]) -> None:
        self._settings = settings
        self._tables = _tables(settings.pixels).astype(dtype)

    def __call__(self, image: RgbImage) -> NDArray[np.floating[Any]]:
        """(height, width, 3) uint8 to (patches, 3 * temporal * patch * patch); see `ImageSettings.grid`."""
        settings = self._settings
        _, rows, columns = settings.grid(image)
        patch, merge = settings.patch, settings.merge
        cut = image.reshape(rows // merge, merge, patch, columns // merge, merge, patch, 3)
        # (row of blocks, column of blocks, row and column in the block, channel, y, x)
        ordered = cut.transpose(0, 3, 1, 4, 6, 2, 5).reshape(rows * columns, 3, 1, patch * patch)
        made = np.empty((rows * columns, 3, settings.temporal, patch * patch), self._tables.dtype)
        for channel, table in enumerate(self._tables):
            made[:, channel] = table[ordered[:, channel]]
        return made.reshape(rows * columns, -1)


def _tables(pixels: Pixels) -> NDArray[np.float32]:
    """The normalised value of each byte, (3, 256)."""
    rescaled = (np.arange(256) * pixels.rescale).astype(np.float32)
    mean = np.array(pixels.mean, np.float32).reshape(3, 1)
    std = np.array(pixels.std, np.float32).reshape(3, 1)
    tables: NDArray[np.float32] = (rescaled - mean) / std
    return tables
