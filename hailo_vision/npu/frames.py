"""Images as the chip's vision encoder takes them: all of one size, contiguous, writable.

HailoRT checks nothing of a frame but its number of bytes and reads whatever lies behind the pointer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hailo_common.engine.contract import RgbImage
from hailo_common.errors import ModelError
from hailo_common.images.resize import ResizeSpec
from hailo_common.inference.hf_config import BICUBIC
from hailo_common.npu.types import VLM

_CHANNELS = 3
FITS = ("letterbox", "crop")


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame, (height, width, 3) in the model's own type."""

    pixels: NDArray[Any]

    @cached_property
    def digest(self) -> bytes:
        """What only this image has, whoever sends it."""
        return blake2b(self.pixels.data.cast("B"), digest_size=20).digest()


@dataclass(frozen=True)
class FrameShape:
    """Height and width in pixels and the type of the numbers, as the HEF wants them."""

    height: int
    width: int
    dtype: np.dtype[Any]

    def target(self, fit: str) -> ResizeSpec:
        """What the decoder process makes of an image; `fit` is `letterbox` or `crop`."""
        if fit not in FITS:
            raise ModelError(f"frame_fit must be one of {', '.join(FITS)}, not {fit!r}")
        return ResizeSpec(self.width, self.height, fit=fit, resample=BICUBIC)  # type: ignore[arg-type]

    def frame(self, image: RgbImage) -> Frame:
        """A frame of its own memory; raises ValueError for an image that is not of the frame's size."""
        if image.shape != (self.height, self.width, _CHANNELS) or image.dtype != np.uint8:
            raise ValueError(f"expected a uint8 image of {self.height} x {self.width}, not {image.shape}")
        return Frame(np.array(image, self.dtype, order="C"))

    def grey(self) -> Frame:
        """A frame that shows nothing."""
        return self.frame(np.full((self.height, self.width, _CHANNELS), 128, np.uint8))


def frame_shape(vlm: VLM) -> FrameShape:
    """What the loaded HEF wants; raises ModelError when that is no image of three channels."""
    shape = tuple(int(side) for side in vlm.input_frame_shape())
    dtype = np.dtype(vlm.input_frame_format_type())
    size = int(vlm.input_frame_size())
    if len(shape) != 3 or shape[2] != _CHANNELS or min(shape) < 1:
        raise ModelError(f"the HEF wants frames of shape {shape}: expected height, width and three channels")
    if size != int(np.prod(shape)) * dtype.itemsize:
        raise ModelError(f"the HEF wants frames of {size} bytes, which {shape} numbers of {dtype} are not")
    return FrameShape(shape[0], shape[1], dtype)
