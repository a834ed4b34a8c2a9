"""The images of a request as they came: one, or a batch, in which a bad one spoils only its own entry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hailo_common.errors import InvalidParameter, ServiceError, TooLarge
from hailo_common.images.decoder import EncodedImage
from hailo_common.images.image_text import read_image_file, read_image_text
from hailo_common.remote_images.client import RemoteImages, is_remote

BATCH = "images"
"""The field whose list is a batch."""
_NAMES = ("image", "image_url", BATCH, "file", "data", "input_image")
_SHOWN = 40


@dataclass(frozen=True)
class RequestLimits:
    """How many images a request may have, how many bytes each of them, and all of them together."""

    images: int
    image_bytes: int
    body_bytes: int


@dataclass
class SentImage:
    """An image's file, or why it is refused; `named` is the head of its data: URL, for the answer.

    One that came by address has a `url` and no file until `SentImages.fetch`, and the name of its field.
    """

    file: EncodedImage | ServiceError | None
    named: str = ""
    url: str = ""
    param: str | None = None

    def encoded(self) -> EncodedImage:
        """The file; raises what it is refused for."""
        if isinstance(self.file, ServiceError):
            raise self.file
        assert self.file is not None, "images by address are fetched first"
        return self.file


@dataclass(frozen=True)
class SentImages:
    """All of a request; `batch` says that the answer is a list, too. Close it."""

    images: tuple[SentImage, ...]
    batch: bool

    async def fetch(self, remote: RemoteImages, limits: RequestLimits) -> None:
        """Fetch those that came by address; one that is not to be had spoils only its own entry of a batch.

        Do this before a place is taken in the queue: a slow host must not hold up others.
        """
        left = limits.body_bytes
        for image in self.images:
            if image.url and image.file is None:
                image.file = await _fetched(image, remote, left)
                left -= image.file.size if isinstance(image.file, EncodedImage) else 0
        if not self.batch:
            self.images[0].encoded()

    def close(self) -> None:
        """Close all files. May be called twice."""
        for image in self.images:
            if isinstance(image.file, EncodedImage):
                image.file.close()


async def _fetched(image: SentImage, remote: RemoteImages, most_bytes: int) -> EncodedImage | ServiceError:
    try:
        file = await remote.fetch(image.url)
    except ServiceError as error:
        error.param = error.param or image.param
        return error
    if file.size > most_bytes:
        file.close()
        message = "The images of this request have more bytes together than max_body_bytes allows."
        return TooLarge(message, param=image.param)
    return file


def images_of_json(data: dict[str, Any], limits: RequestLimits) -> SentImages:
    """The images of a JSON object; raises ServiceError for what is no batch, with the field's name."""
    listed = data.get(BATCH)
    if isinstance(listed, list):
        return _batch([_from_text(each, f"{BATCH}[{n}]", limits) for n, each in enumerate(listed)], limits)
    name = next((name for name in _NAMES if data.get(name) is not None), "image")
    return _single(_from_text(data.get(name), name, limits))


def images_of_files(files: Sequence[tuple[str, bytes]], limits: RequestLimits) -> SentImages:
    """The images of a form, with their fields' names; several, or those called `images`, are a batch."""
    if not files:
        raise InvalidParameter(
            "image is missing: send a file that is not empty, as image=@photo.jpg does it with curl.",
            param="image",
        )
    if len(files) > 1 or files[0][0] == BATCH:
        return _batch(
            [_from_file(data, f"{BATCH}[{n}]", limits) for n, (_, data) in enumerate(files)], limits
        )
    name, data = files[0]
    return _single(_from_file(data, name, limits))


def image_of_body(data: bytes, limits: RequestLimits) -> SentImages:
    """The image that is the body itself."""
    return _single(_from_file(data, "image", limits))


def _from_text(image: Any, param: str, limits: RequestLimits) -> SentImage:
    """An image of JSON: a text, or an object with one, as OpenAI's clients write it."""
    image = image.get("url", image.get("data")) if isinstance(image, dict) else image
    if not isinstance(image, str):
        message = f"{param} must be an image as a data: URL or in base64."
        return SentImage(InvalidParameter(message, param=param))
    if is_remote(image):
        return SentImage(None, "...", image, param)
    head = image[: image.find(",", 0, _SHOWN) + 1] + "..."
    return SentImage(_read(lambda: read_image_text(image, limit_bytes=limits.image_bytes), param), head)


def _from_file(data: bytes, param: str, limits: RequestLimits) -> SentImage:
    return SentImage(_read(lambda: read_image_file(data, limit_bytes=limits.image_bytes), param))


def _read(read: Callable[[], bytes], param: str) -> EncodedImage | ServiceError:
    """What `read` gives, or its error, which is about `param`."""
    try:
        return EncodedImage(read())
    except ServiceError as error:
        error.param = error.param or param
        return error


def _single(image: SentImage) -> SentImages:
    if not image.url:
        image.encoded()
    return SentImages((image,), batch=False)


def _batch(images: Sequence[SentImage], limits: RequestLimits) -> SentImages:
    made = SentImages(tuple(images), batch=True)
    if not 1 <= len(images) <= limits.images:
        made.close()
        raise InvalidParameter(
            f"{BATCH} must be a list of 1 to {limits.images} images (max_images).", param=BATCH
        )
    return made
