"""A checked conversation that wants an answer, whatever its dialect, with its images and its limits.

Clients send images in many forms; all of them lie inside the request, since nothing is ever fetched.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from hailo_common.errors import BadRequest, ServiceError
from hailo_common.images.decoder import EncodedImage
from hailo_common.resources import Closeable
from hailo_common.web.media import decode_data_uri
from hailo_vision.api.fields import refused
from hailo_vision.protocol import ContextPolicy, VisionRequest

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,15}):")


@dataclass(frozen=True)
class SentImage:
    """An encoded image and the field it came in."""

    encoded: EncodedImage
    param: str


@dataclass
class SentImages(Closeable):
    """The images of a request, in the order they were sent; a context manager that closes them all."""

    max_images: int
    max_bytes: int
    images: list[SentImage] = field(default_factory=list)

    def add(self, source: Any, param: str, *, bare: bool = False) -> int:
        """Take one image (a data: URL, with `bare` also base64 alone); returns its index."""
        if len(self.images) >= self.max_images:
            raise refused(param, f"A request may hold at most {self.max_images} images.", "too_many_images")
        try:
            data = image_bytes(source, param, self.max_bytes, bare=bare)
        except ServiceError as error:
            error.param = error.param or param
            raise
        self.images.append(SentImage(EncodedImage(data), param))
        return len(self.images) - 1

    def close(self) -> None:
        """Close all images. May be called twice."""
        for image in self.images:
            image.encoded.close()


def image_bytes(source: Any, param: str, limit: int, *, bare: bool = False) -> bytes:
    """The bytes of an image that came inside the request. Nothing is ever fetched."""
    if not isinstance(source, str):
        raise refused(param, f"{param} must be a data: URL of a JPEG, PNG or WebP.")
    scheme = _SCHEME.match(source)
    if (scheme is None and not bare) or (scheme is not None and scheme[1].lower() != "data"):
        raise BadRequest(
            "Only data: URLs are accepted (data:image/jpeg;base64,...). This service fetches nothing from "
            "the network and opens no files, so that no request can make it do so.",
            code="unsupported_image_url",
            param=param,
        )
    return decode_data_uri(source, limit_bytes=limit, bare=bare)


@dataclass(frozen=True, kw_only=True)
class RequestLimits:
    """What an operator allows one request, and what goes for a request that does not say."""

    body_bytes: int
    images: int
    image_bytes: int
    context_policy: ContextPolicy
    max_new_tokens: int
    temperature: float


@dataclass(frozen=True)
class ChatRequest(Closeable):
    """What the engine is asked, and the images that go with it; a context manager that closes them."""

    engine: VisionRequest
    images: SentImages

    def close(self) -> None:
        """Close the images. May be called twice."""
        self.images.close()
