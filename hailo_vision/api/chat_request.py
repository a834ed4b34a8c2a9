"""A checked conversation that wants an answer, whatever its dialect, with its images and its limits.

Clients send images in many forms. All of them lie inside the request, but for addresses where an operator
lists hosts: these another program fetches.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from hailo_common.errors import ServiceError, TooLarge
from hailo_common.images.decoder import EncodedImage
from hailo_common.images.image_text import read_image_file, read_image_text
from hailo_common.remote_images.client import RemoteImages, is_remote
from hailo_common.resources import Closeable
from hailo_vision.api.fields import refused
from hailo_vision.api.tools.declared import ToolUse
from hailo_vision.protocol import ContextPolicy, VisionRequest


@dataclass
class SentImage:
    """An encoded image and the field it came in; one by address is None until it was fetched from `url`.

    It is `kept` until the answer has ended, not only until it is decoded.
    """

    encoded: EncodedImage | None
    param: str
    kept: bool = False
    url: str = ""


@dataclass
class SentImages(Closeable):
    """The images of a request, in the order they were sent; a context manager that closes them all.

    It `keeps` them to its end where the answer may be gone on from.
    """

    max_images: int
    max_bytes: int
    images: list[SentImage] = field(default_factory=list)
    keeps: bool = False

    def add(self, source: Any, param: str) -> int:
        """Take one image (a data: URL or base64, or an address where that is on); returns its index."""
        self._check_room(param)
        if is_remote(source):
            self.images.append(SentImage(None, param, self.keeps, source))
            return len(self.images) - 1
        try:
            data = image_bytes(source, param, self.max_bytes)
        except ServiceError as error:
            error.param = error.param or param
            raise
        self.images.append(SentImage(EncodedImage(data), param, self.keeps))
        return len(self.images) - 1

    def take(self, encoded: EncodedImage, param: str) -> None:
        """Take one that came with an earlier request; it is closed with the others."""
        self.images.append(SentImage(encoded, param, self.keeps))
        if len(self.images) > self.max_images:
            self._check_room(param)

    def _check_room(self, param: str) -> None:
        if len(self.images) >= self.max_images:
            raise refused(param, f"A request may hold at most {self.max_images} images.", "too_many_images")

    def close(self) -> None:
        """Close all images. May be called twice."""
        for image in self.images:
            if image.encoded is not None:
                image.encoded.close()

    async def fetch(self, remote: RemoteImages, most_bytes: int) -> None:
        """Fetch those that came by address, which may have so many bytes together; an error names the field.

        Do this before a place is taken in the queue: a slow host must not hold up others.
        """
        left = most_bytes
        for image in self.images:
            if image.encoded is not None:
                continue
            try:
                image.encoded = await remote.fetch(image.url)
            except ServiceError as error:
                error.param = error.param or image.param
                raise
            left -= image.encoded.size
            if left < 0:
                raise TooLarge(f"The images of one request have more than {most_bytes:,} bytes together.")


@contextmanager
def sent_images(limits: RequestLimits, *, keeps: bool = False) -> Iterator[SentImages]:
    """The images of a request while it is read; they are closed where that fails."""
    images = SentImages(limits.images, limits.image_bytes, keeps=keeps)
    try:
        yield images
    except BaseException:
        images.close()
        raise


def image_bytes(source: Any, param: str, limit: int) -> bytes:
    """The bytes of an image that came inside the request, as text or, in a form, as a file."""
    if isinstance(source, bytes):
        return read_image_file(source, limit_bytes=limit)
    if not isinstance(source, str):
        raise refused(param, f"{param} must be an image as a data: URL or in base64.")
    return read_image_text(source, limit_bytes=limit)


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
    """What the engine is asked, the images that go with it, and the tools that the model may or must call; a
    context manager that closes the images.
    """

    engine: VisionRequest
    images: SentImages
    tools: ToolUse | None = None

    def close(self) -> None:
        """Close the images. May be called twice."""
        self.images.close()
