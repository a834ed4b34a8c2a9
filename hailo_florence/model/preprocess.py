"""From an image of the right size to the numbers that the vision encoder wants.

Resizing is the decoder process's work (see `hailo_common.images`); here is only CLIP's rescaling and
normalising, `(x * rescale_factor - mean) / std` for each channel, as one multiply and one subtract.
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
from hailo_common.inference.hf_config import BICUBIC, PROCESSOR_FILE, read_pixels, read_processor
from hailo_common.inference.model_dir import ModelDir, integer_in

_FLOAT32 = np.dtype(np.float32)


@dataclass(frozen=True)
class ImageSettings:
    """What `preprocessor_config.json` says; each channel becomes `x * scale - offset`."""

    target: ResizeSpec
    scale: tuple[float, float, float]
    offset: tuple[float, float, float]


def read_image_settings(folder: ModelDir) -> ImageSettings:
    """Read size, resampling and normalisation; raises ModelMissing or ModelError naming the file."""
    return image_settings(*read_processor(folder))


def image_settings(values: Mapping[str, Any], source: str = PROCESSOR_FILE) -> ImageSettings:
    """The same from parsed JSON; raises ModelError naming `source`."""
    width, height = _size(values, source)
    pixels = read_pixels(values, source)
    red, green, blue = ((pixels.rescale / s, m / s) for m, s in zip(pixels.mean, pixels.std, strict=True))
    return ImageSettings(
        target=ResizeSpec(width, height, resample=integer_in(values, "resample", source, BICUBIC)),
        scale=(red[0], green[0], blue[0]),
        offset=(red[1], green[1], blue[1]),
    )


def _size(values: Mapping[str, Any], source: str) -> tuple[int, int]:
    """(width, height) in pixels: the crop where there is one, else the exact size."""
    crop = bool(values.get("do_center_crop"))
    size = values.get("crop_size" if crop else "size")
    if isinstance(size, int) and not isinstance(size, bool) and size > 0:
        return size, size
    if isinstance(size, dict) and {"height", "width"} <= size.keys():
        width, height = (integer_in(size, key, source) for key in ("width", "height"))
        if width and height:
            return width, height
    raise ModelError(f"{source}: expected a fixed 'height' and 'width' above 0 as image size")


class Normaliser:
    """Turns images into `pixel_values`, re-using one buffer."""

    def __init__(self, settings: ImageSettings, dtype: np.dtype[Any] = _FLOAT32) -> None:
        target = settings.target
        self._shape = (target.height, target.width, 3)
        self._scale = np.array(settings.scale, np.float32).reshape(3, 1, 1)
        self._offset = np.array(settings.offset, np.float32).reshape(3, 1, 1)
        self._pixels = np.empty((1, 3, target.height, target.width), np.float32)
        self._dtype = dtype

    def __call__(self, image: RgbImage) -> NDArray[np.floating[Any]]:
        """(height, width, 3) uint8 to (1, 3, height, width), valid until the next call.

        Raises ValueError for an image of another shape or type.
        """
        if image.shape != self._shape or image.dtype != np.uint8:
            raise ValueError(f"expected a uint8 image of shape {self._shape}, not {image.shape}")
        pixels = self._pixels[0]
        np.multiply(image.transpose(2, 0, 1), self._scale, out=pixels)
        np.subtract(pixels, self._offset, out=pixels)
        return self._pixels.astype(self._dtype, copy=False)
