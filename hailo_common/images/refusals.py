"""Every reason for which a picture is refused: a stable code, its kind of error, one fixed text.

Only the code crosses from the decoder process. So a picture that takes over its decoder still cannot put
words into an answer, and no library's text reaches a client.
"""

from __future__ import annotations

from hailo_common.errors import BadRequest, ServiceError, TooLarge, Undecodable, UnsupportedMedia
from hailo_common.images.limits import Limits

DECODE_FAILED = "image_decode_failed"

_REFUSALS: dict[str, tuple[type[ServiceError], str]] = {
    "image_empty": (BadRequest, "The picture is empty."),
    "image_too_large": (TooLarge, "The picture has more than {0.max_bytes:,} bytes."),
    "unsupported_image_format": (UnsupportedMedia, "The picture is not a JPEG, PNG or WebP file."),
    "image_truncated": (BadRequest, "The picture is cut short."),
    "invalid_image": (BadRequest, "The picture is damaged."),
    "too_many_pixels": (BadRequest, "The picture has more than {0.max_pixels:,} pixels."),
    "image_side_out_of_range": (
        BadRequest,
        "The picture's width and height must be {0.min_side} to {0.max_side} pixels.",
    ),
    "image_aspect_ratio": (BadRequest, "The picture is more than 200 times as long as it is wide or high."),
    "too_many_scans": (BadRequest, "The JPEG picture has more than {0.max_scans} scans."),
    "too_many_chunks": (BadRequest, "The picture's file has more than {0.max_chunks:,} parts."),
    DECODE_FAILED: (Undecodable, "The picture could not be decoded within the decoder's time and memory."),
}
CODES = frozenset(_REFUSALS)


def refusal(code: str, limits: Limits) -> ServiceError:
    """The error for `code`; for a code that is none of `CODES`, the one for a failed decoder."""
    kind, text = _REFUSALS.get(code, _REFUSALS[DECODE_FAILED])
    return kind(text.format(limits), code=code if code in CODES else DECODE_FAILED)
