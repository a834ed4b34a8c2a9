"""Images in sealed memfds: as they were sent, decoded, and those decoded lately.

However many wait or are kept, the HTTP process maps none of their pixels: it forwards descriptors.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hailo_common.images.limits import Buffer, Format, ImageLimits
from hailo_common.images.resize import ResizeSpec
from hailo_common.ipc.messages import memfd_with
from hailo_common.resources import OwnedFile

MAX_CACHED = 64
"""Images in the cache at most, each of which takes a file descriptor."""
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE

CacheKey = tuple[bytes, ResizeSpec]


class EncodedImage(OwnedFile):
    """`size` bytes of an image file behind `fd`; a context manager that closes it."""

    def __init__(self, data: Buffer) -> None:
        self.size = len(data)
        self.fd = memfd_with("upload", [data])

    def digest(self) -> bytes:
        """SHA-256 of the file, which must not be empty."""
        with mmap.mmap(self.fd, self.size, prot=mmap.PROT_READ) as data:
            return hashlib.sha256(data).digest()


@dataclass(eq=False)
class DecodedImage(OwnedFile):
    """`height` * `width` * 3 bytes of RGB behind `fd`; a context manager that closes it.

    `original_width` and `original_height` are the sent image's, as a viewer shows it.
    """

    fd: int
    width: int
    height: int
    original_width: int
    original_height: int
    format: Format

    @property
    def bytes(self) -> int:
        """The memfd's length."""
        return self.width * self.height * 3


def decoded_image_of(
    answer: Mapping[str, Any], fds: Sequence[int], target: ResizeSpec, limits: ImageLimits
) -> DecodedImage:
    """Check an answer of the decoder as if the image had taken it over; raises ValueError.

    The seals are checked because a file that shrinks under the engine's mapping would kill it by SIGBUS.
    """
    (fd,) = fds
    width, height = (answer.get("original_width"), answer.get("original_height"))
    if not all(type(side) is int and 1 <= side <= limits.max_side for side in (width, height)):
        raise ValueError("the decoder answered with an impossible original size")
    size = target.size_for(width, height)  # type: ignore[arg-type]
    if (answer.get("width"), answer.get("height")) != size:
        raise ValueError("the decoder answered with another size")
    if os.fstat(fd).st_size != size[0] * size[1] * 3:
        raise ValueError("the decoder answered with another number of bytes")
    if fcntl.fcntl(fd, fcntl.F_GET_SEALS) & _SEALS != _SEALS:
        raise ValueError("the decoder answered with an unsealed file")
    return DecodedImage(fd, *size, width, height, Format(answer.get("format")))  # type: ignore[arg-type]


class ImageCache:
    """The last decoded images by their file's digest and target, in no more than `max_bytes` of pixels.

    Their memfds are sealed, so that sharing one is safe; each user closes a descriptor of its own.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.hits = 0
        self._images: OrderedDict[CacheKey, DecodedImage] = OrderedDict()
        self._bytes = 0

    def get(self, key: CacheKey) -> DecodedImage | None:
        """The image, which the caller closes, or None."""
        image = self._images.get(key)
        if image is None:
            return None
        self._images.move_to_end(key)
        self.hits += 1
        return _shared(image)

    def put(self, key: CacheKey, image: DecodedImage) -> None:
        """Keep it; the caller closes its own all the same."""
        if key in self._images or image.bytes > self.max_bytes:
            return
        self._images[key] = _shared(image)
        self._bytes += image.bytes
        while self._bytes > self.max_bytes or len(self._images) > MAX_CACHED:
            self._drop()

    def close(self) -> None:
        """Forget all of them."""
        while self._images:
            self._drop()

    def _drop(self) -> None:
        _, image = self._images.popitem(last=False)
        self._bytes -= image.bytes
        image.close()


def _shared(image: DecodedImage) -> DecodedImage:
    return replace(image, fd=os.dup(image.fd))
