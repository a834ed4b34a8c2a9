"""The size that a model wants of an image, and how it gets it; crosses to the decoder as plain JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

MAX_ASPECT_RATIO = 200


class AspectRatioError(ValueError):
    """An image more than 200 times as long as it is wide, or the other way round."""


def smart_resize(
    width: int, height: int, *, factor: int, min_pixels: int, max_pixels: int
) -> tuple[int, int]:
    """Qwen2-VL's published rule: sides that are multiples of `factor`, about the same aspect ratio.

    Takes and returns (width, height) in pixels; the area ends up between `min_pixels` and `max_pixels`
    wherever the multiples allow it. Raises AspectRatioError.
    """
    if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
        raise AspectRatioError
    sides = (height, width)
    rounded = [round(side / factor) * factor for side in sides]
    area = rounded[0] * rounded[1]
    if area > max_pixels:
        beta = math.sqrt((height * width) / max_pixels)
        rounded = [max(factor, math.floor(side / beta / factor) * factor) for side in sides]
    elif area < min_pixels:
        beta = math.sqrt(min_pixels / (height * width))
        rounded = [math.ceil(side * beta / factor) * factor for side in sides]
    return rounded[1], rounded[0]


@dataclass(frozen=True)
class ResizeSpec:
    """The image's final size, reached in the decoder process.

    `fit="squash"` resizes to exactly `width` x `height` whatever the aspect ratio (Florence-2's processor).
    `fit="smart"` follows `smart_resize` with the upright image's own size (Qwen2-VL's processor).
    `fit="letterbox"` keeps the aspect ratio and fills the rest of `width` x `height` with black; `fit="crop"`
    keeps it and cuts off what stands over, equally on both sides.
    `resample` is Pillow's number (2 bilinear, 3 bicubic). `exact=True` decodes at full resolution; otherwise
    the decoder may downscale while decoding (JPEG draft mode, then a reducing gap), which differs by less
    than half a grey level on average.
    """

    width: int = 0
    height: int = 0
    fit: Literal["squash", "smart", "letterbox", "crop"] = "squash"
    resample: int = 3
    exact: bool = False
    factor: int = 28
    min_pixels: int = 56 * 56
    max_pixels: int = 28 * 28 * 1280

    def size_for(self, width: int, height: int) -> tuple[int, int]:
        """The final (width, height) of an upright image of this size; raises AspectRatioError."""
        if self.fit == "smart":
            bounds = {"min_pixels": self.min_pixels, "max_pixels": self.max_pixels}
            return smart_resize(width, height, factor=self.factor, **bounds)
        if self.fit != "squash" and max(width, height) > MAX_ASPECT_RATIO * min(width, height):
            raise AspectRatioError
        return self.width, self.height

    def content_for(self, width: int, height: int) -> tuple[int, int]:
        """The (width, height) that the image itself has in the final one; smaller only in a letterbox."""
        size = self.size_for(width, height)
        if self.fit != "letterbox":
            return size
        scale = min(size[0] / width, size[1] / height)
        return max(1, round(width * scale)), max(1, round(height * scale))

    def window(self, width: float, height: float) -> tuple[float, float, float, float]:
        """The part of an image of this size that is used: (left, top, right, bottom); all but for a crop."""
        if self.fit != "crop":
            return 0, 0, width, height
        scale = min(width / self.width, height / self.height)
        left, top = (width - self.width * scale) / 2, (height - self.height * scale) / 2
        return left, top, width - left, height - top

    def to_json(self) -> dict[str, Any]:
        """The same as a JSON object."""
        return dict(vars(self))

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ResizeSpec:
        """The inverse of `to_json`; raises TypeError for unknown fields."""
        return cls(**value)
