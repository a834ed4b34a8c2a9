"""What is accepted of an image from a stranger, and every reason for which one is refused.

A refusal is a stable code, a kind of error and one fixed message. Only the code crosses from the decoder
process, so an image that takes over its decoder still cannot put words into an answer, and no library's
message reaches a client.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any, Literal

from hailo_common.errors import BadRequest, ServiceError, TooLarge, Undecodable, UnsupportedMedia

_BASE_BYTES = 128 * 1024 * 1024
_BYTES_PER_PIXEL = 26


@dataclass(frozen=True, kw_only=True)
class ImageLimits:
    """Caps that are checked before Pillow decodes anything.

    An image one pixel wide or high is refused: it shows nothing, and such images have crashed models.
    """

    max_bytes: int
    max_pixels: int
    min_side: int = 2
    max_side: int
    max_scans: int = 100
    max_chunks: int = 10_000

    @property
    def memory_bytes(self) -> int:
        """Address space: Python and Pillow, then WebP's 20 bytes a pixel, the worst that was measured."""
        return _BASE_BYTES + 2 * self.max_bytes + _BYTES_PER_PIXEL * self.max_pixels

    def to_json(self) -> dict[str, Any]:
        """The same as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ImageLimits:
        """The inverse of `to_json`; raises TypeError for unknown fields."""
        return cls(**value)


Buffer = bytes | bytearray | memoryview
Ending = Literal["whole", "unmarked", "cut"]


class Format(Enum):
    """The three formats that are accepted."""

    JPEG = "JPEG"
    PNG = "PNG"
    WEBP = "WEBP"


@dataclass(frozen=True)
class Header:
    """Size as stored, before any EXIF rotation.

    `ending` is "unmarked" for a JPEG that may miss nothing but its end marker, as some cameras send them.
    """

    format: Format
    width: int
    height: int
    ending: Ending = "whole"
    bit_depth: int = 8


DECODE_FAILED = "image_decode_failed"

_REFUSALS: dict[str, tuple[type[ServiceError], str]] = {
    "image_empty": (BadRequest, "The image is empty."),
    "image_too_large": (TooLarge, "The image has more than {0.max_bytes:,} bytes."),
    "unsupported_image_format": (UnsupportedMedia, "The image is not a JPEG, PNG or WebP file."),
    "image_truncated": (BadRequest, "The image is cut short."),
    "invalid_image": (BadRequest, "The image is damaged."),
    "too_many_pixels": (BadRequest, "The image has more than {0.max_pixels:,} pixels."),
    "image_side_out_of_range": (
        BadRequest,
        "The image's width and height must be {0.min_side} to {0.max_side} pixels.",
    ),
    "image_aspect_ratio": (BadRequest, "The image is more than 200 times as long as it is wide or high."),
    "too_many_scans": (BadRequest, "The JPEG image has more than {0.max_scans} scans."),
    "too_many_chunks": (BadRequest, "The image's file has more than {0.max_chunks:,} parts."),
    DECODE_FAILED: (Undecodable, "The image could not be decoded within the decoder's time and memory."),
}
CODES = frozenset(_REFUSALS)


def image_error(code: str, limits: ImageLimits) -> ServiceError:
    """The error for `code`; for a code that is none of `CODES`, the one for a failed decoder."""
    kind, text = _REFUSALS.get(code, _REFUSALS[DECODE_FAILED])
    return kind(text.format(limits), code=code if code in CODES else DECODE_FAILED)
