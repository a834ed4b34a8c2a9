"""What is accepted of an image from a stranger, and every reason for which one is refused.

A refusal is a stable code, a kind of error and one fixed message. Only the code crosses from the decoder
process, so an image that takes over its decoder still cannot put words into an answer, and no library's
message reaches a client.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any, Literal

from hailo_common.errors import BadRequest, ServiceError, TooLarge, Undecodable

_BASE_BYTES = 128 * 1024 * 1024
_BYTES_PER_PIXEL = 26


@dataclass(frozen=True, kw_only=True)
class ImageLimits:
    """Caps that are checked before Pillow decodes anything.

    `max_pixels` counts what is decoded. A JPEG or HEIC that is made smaller while it is decoded may be stored
    with up to `max_jpeg_pixels`; 0 holds it to `max_pixels` as well. An image one pixel wide or high is
    refused: it shows nothing, and such images have crashed models.
    """

    max_bytes: int
    max_pixels: int
    max_jpeg_pixels: int = 0
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
    """The formats that are accepted."""

    JPEG = "JPEG"
    PNG = "PNG"
    WEBP = "WEBP"
    GIF = "GIF"
    BMP = "BMP"
    TIFF = "TIFF"
    AVIF = "AVIF"
    HEIC = "HEIC"


@dataclass(frozen=True)
class Header:
    """Size as stored, before any EXIF rotation.

    `ending` is "unmarked" for a JPEG that may miss nothing but its end, as some cameras send them.
    `can_shrink` is for an image that can be decoded at a fraction of its size without memory for all of it;
    `restart_interval` counts a JPEG's blocks between two markers.
    """

    format: Format
    width: int
    height: int
    ending: Ending = "whole"
    bit_depth: int = 8
    can_shrink: bool = False
    restart_interval: int = 0


DECODE_FAILED = "image_decode_failed"

_ACCEPTED = "JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF and HEIC are understood."
_IPHONE = "An iPhone makes JPEGs with Settings, Camera, Formats, Most Compatible."
_UNSUPPORTED = "unsupported_image_format"
_NOT_IMAGES = {
    _UNSUPPORTED: f"The file is no image of a known format. {_ACCEPTED}",
    "is_pdf": "The file is a PDF document; send its pages as images (pdftoppm -png makes them).",
    "is_svg": "The file is an SVG drawing; send it as a PNG.",
    "is_web_page": "The file is a web page, perhaps an error that came instead of an image.",
    "is_video": "The file is a video; send single frames of it as images.",
    "is_sound": "The file is a sound recording.",
    "is_archive": "The file is a compressed archive; send the images in it.",
    "is_other_image": f"The image has a format that is not understood here. {_ACCEPTED}",
    "is_big_tiff": "The file is a BigTIFF; send it as a plain TIFF, PNG or JPEG.",
    "is_address": "The file is an address and no image. This service fetches nothing: send the image itself.",
    "is_json": "The file is JSON text and no image.",
    "is_text": "The file is text and no image; with curl a file has an @: -F image=@photo.jpg.",
    "tiff_compression": "The TIFF image is compressed in a way that is not accepted; send it as PNG or JPEG.",
    "bmp_compression": "The BMP image is compressed in a way that is not accepted; send it as PNG or JPEG.",
    "heic_support_missing": (
        "The image is HEIC, for which this machine has no decoder: install libde265-0 there and restart the "
        f"service, or send it as JPEG. {_IPHONE}"
    ),
    "heic_other_codec": (
        "The file is HEIF, but its image is not stored as phones store photographs (HEVC); send it as "
        f"JPEG. {_IPHONE}"
    ),
    "avif_support_missing": (
        "The image is AVIF, which Pillow (python3-pil) reads from version 11.3 on only; send it as JPEG."
    ),
}
"""What is no image that can be read; for clients these are all `unsupported_image_format`."""

_REFUSALS: dict[str, tuple[type[ServiceError], str]] = {
    **{name: (BadRequest, text) for name, text in _NOT_IMAGES.items()},
    "image_empty": (BadRequest, "The image is empty."),
    "image_too_large": (
        TooLarge,
        "The image has more than the {0.max_bytes:,} bytes that max_image_bytes allows.",
    ),
    "image_truncated": (BadRequest, "The image is cut short: a part of it is missing."),
    "invalid_image": (BadRequest, "The image is damaged."),
    "too_many_pixels": (
        BadRequest,
        "The image has more than the {0.max_pixels:,} pixels that max_image_pixels allows; send it smaller. "
        "A JPEG may have more, up to max_jpeg_pixels, if it is not progressive.",
    ),
    "image_side_out_of_range": (
        BadRequest,
        "The image's width and height must be {0.min_side} to {0.max_side} pixels (max_image_side).",
    ),
    "image_aspect_ratio": (BadRequest, "The image is more than 200 times as long as it is wide or high."),
    "too_many_scans": (BadRequest, "The JPEG image has more than {0.max_scans} scans."),
    "too_many_chunks": (BadRequest, "The image's file has more than {0.max_chunks:,} parts."),
    DECODE_FAILED: (Undecodable, "The image could not be decoded within the decoder's time and memory."),
}
CODES = frozenset(_REFUSALS)
"""What the decoder process may answer."""


def image_error(code: str, limits: ImageLimits) -> ServiceError:
    """The error for `code`; for a code that is none of `CODES`, the one for a failed decoder."""
    kind, text = _REFUSALS.get(code, _REFUSALS[DECODE_FAILED])
    known = code if code in CODES else DECODE_FAILED
    error = kind(text.format(limits), code=_UNSUPPORTED if known in _NOT_IMAGES else known)
    error.cause = known
    return error
