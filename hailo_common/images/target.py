"""What a model wants a picture to be, told to the decoder as plain JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Target:
    """The picture's final size, reached in the decoder process.

    `fit="squash"` resizes to exactly `width` x `height` whatever the aspect ratio (Florence-2's processor).
    `resample` is Pillow's number (2 bilinear, 3 bicubic). `exact=True` decodes at full resolution; otherwise
    the decoder may downscale while decoding (JPEG draft mode, then a reducing gap), which differs by less
    than half a grey level on average.
    """

    width: int
    height: int
    fit: Literal["squash"] = "squash"
    resample: int = 3
    exact: bool = False

    def to_json(self) -> dict[str, Any]:
        """The same as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Target:
        """The inverse of `to_json`; raises TypeError for unknown fields."""
        return cls(**value)
