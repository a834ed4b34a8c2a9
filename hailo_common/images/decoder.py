"""The parent's end of the decoder process: first come first served, with a deadline that kills.

Images lie in memfds, encoded and decoded: however many wait, none of them lies in the HTTP process. Whatever
an image does to the decoder, its caller gets a ServiceError and the next image a fresh decoder.
"""

from __future__ import annotations

import asyncio
import copy
import hashlib
import mmap
import os
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from hailo_common.errors import ServiceError
from hailo_common.images.limits import DECODE_FAILED, Buffer, Format, ImageLimits, image_error
from hailo_common.images.resize import ResizeSpec
from hailo_common.images.supervisor import Answer, DecoderSupervisor
from hailo_common.ipc.child_process import ChildExitedError, ChildProcess
from hailo_common.ipc.messages import close_fds, is_sealed, memfd_with
from hailo_common.owner import OwnedParts, Store, owner
from hailo_common.resources import OwnedFile

MAX_CACHED = 64
"""Images in the cache at most, all owners' together, each of which takes a file descriptor."""

CacheKey = tuple[bytes, ResizeSpec]


class EncodedImage(OwnedFile):
    """`size` bytes of an image file behind `fd`; a context manager that closes it."""

    def __init__(self, data: Buffer) -> None:
        self.size = len(data)
        self.fd = memfd_with("upload", [data])

    def copy(self) -> EncodedImage:
        """Another hold on the same file, closed by itself."""
        made = copy.copy(self)
        made.fd = os.dup(self.fd)
        return made

    @classmethod
    def adopt(cls, fd: int) -> EncodedImage:
        """Take over a memfd from another process; raises ValueError for one that may still change."""
        try:
            if not is_sealed(fd):
                raise ValueError("an image in a file that may still change")
            size = os.fstat(fd).st_size
        except BaseException:
            os.close(fd)
            raise
        made = cls.__new__(cls)
        made.fd, made.size = fd, size
        return made

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


witness: ContextVar[Callable[[DecodedImage], None]] = ContextVar("witness", default=lambda _image: None)
"""Is shown what is decoded for a model in its context, and duplicates the descriptor of what it keeps."""


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
    if not is_sealed(fd):
        raise ValueError("the decoder answered with an unsealed file")
    return DecodedImage(fd, *size, width, height, Format(answer.get("format")))  # type: ignore[arg-type]


class ImageCache(Store[CacheKey, DecodedImage]):
    """The last decoded images of one owner by their file's digest and target, in `limit` bytes of pixels.

    Their memfds are sealed, so that sharing one is safe; each user closes a descriptor of its own. A small
    image counts as `least` bytes, which bounds how many there are.
    """

    def __init__(self, limit: int, *, least: int = 0) -> None:
        super().__init__(limit)
        self._least = least

    def share(self, key: CacheKey) -> DecodedImage | None:
        """The image, which the caller closes, or None."""
        image = self.get(key)
        return None if image is None else _shared(image)

    def keep(self, key: CacheKey, image: DecodedImage) -> None:
        """Keep it; the caller closes its own all the same."""
        cost = max(image.bytes, self._least)
        if cost <= self.limit:
            self.put(key, _shared(image), cost)

    def drop(self, key: CacheKey) -> DecodedImage | None:
        """Forget and close an image."""
        image = super().drop(key)
        if image is not None:
            image.close()
        return image


def _shared(image: DecodedImage) -> DecodedImage:
    return replace(image, fd=os.dup(image.fd))


MODULE = "hailo_common.images.child"
TRIES = 3
"""For an image whose decoder ended before it took the image. One that was taken is never tried again."""


class ImageDecoder:
    """Decodes one image at a time in a child process. Callers bound how many of them wait.

    `decoded`, `refused` and `cached` count images; `supervisor` owns the process. Up to `cache_bytes` of
    pixels are kept, so that an image that an owner sends again need not be decoded again.
    """

    def __init__(
        self,
        limits: ImageLimits,
        *,
        deadline_s: float = 3.0,
        cache_bytes: int = 0,
        module: str = MODULE,
    ) -> None:
        self.limits = limits
        self.deadline_s = deadline_s
        self.decoded = 0
        self.refused = 0
        self.cached = 0
        self.supervisor = DecoderSupervisor(module, self.limits)
        self._caches = OwnedParts(
            cache_bytes, lambda share: ImageCache(share, least=cache_bytes // MAX_CACHED)
        )
        self._lock = asyncio.Lock()
        self._number = 0

    @property
    def restarts(self) -> int:
        """How many decoders were started after the first."""
        return self.supervisor.restarts

    async def start(self) -> None:
        """Start the decoder and wait until it is ready; raises Unavailable when it does not get there."""
        await self.supervisor.start()

    async def close(self) -> None:
        """Kill the decoder; images under way or waiting get an error. May be called twice."""
        await self.supervisor.close()
        self._caches.close()

    async def decode(self, data: Buffer, target: ResizeSpec) -> DecodedImage:
        """`decode_upload` of bytes that are at hand."""
        with EncodedImage(data) as upload:
            return await self.decode_upload(upload, target)

    async def decode_upload(self, upload: EncodedImage, target: ResizeSpec) -> DecodedImage:
        """One image as RGB of the target's size; the caller closes it. Raises ServiceError."""
        self._check_size(upload)
        image = await self._known_or_decoded(upload, target)
        witness.get()(image)
        return image

    async def glance(self, upload: EncodedImage, target: ResizeSpec) -> DecodedImage:
        """As `decode_upload`, of what no model will see: it is not kept, and no witness is shown it."""
        self._check_size(upload)
        return await self._decode_next(upload, target)

    def _check_size(self, upload: EncodedImage) -> None:
        if not upload.size:
            raise self._refused("image_empty")
        if upload.size > self.limits.max_bytes:
            raise self._refused("image_too_large")

    async def _known_or_decoded(self, upload: EncodedImage, target: ResizeSpec) -> DecodedImage:
        if not self._caches.limit:
            return await self._decode_next(upload, target)
        key = (upload.digest(), target)
        if (known := self._caches.of(owner.get()).share(key)) is not None:
            self.cached += 1
            return known
        image = await self._decode_next(upload, target)
        self._caches.of(owner.get()).keep(key, image)
        return image

    async def _decode_next(self, upload: EncodedImage, target: ResizeSpec) -> DecodedImage:
        await self._lock.acquire()
        work = asyncio.create_task(self._decode_now(os.dup(upload.fd), target))
        work.add_done_callback(lambda _: self._lock.release())
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            # The decoder stays busy with this image, so the next one begins only after its answer.
            work.add_done_callback(_discard)
            raise

    async def _decode_now(self, fd: int, target: ResizeSpec) -> DecodedImage:
        """Decode the image behind `fd`, which is closed in the end."""
        try:
            return await self._decode_file(fd, target)
        finally:
            os.close(fd)

    async def _decode_file(self, fd: int, target: ResizeSpec) -> DecodedImage:
        self._number += 1
        for _ in range(TRIES):
            child = await self._send(fd, target)
            answer = self.supervisor.answer(self._number)
            await asyncio.wait([answer], timeout=self.deadline_s)
            if not answer.done():
                answer.cancel()
                self.supervisor.retire(child, "it outlasted its deadline")
                break
            if (result := answer.result()) is not None:
                return self._image(child, result, target)
        raise self._refused(DECODE_FAILED)

    async def _send(self, fd: int, target: ResizeSpec) -> ChildProcess:
        while True:
            child = await self.supervisor.child()
            try:
                child.send({"id": self._number, "target": target.to_json()}, [fd])
                return child
            except ChildExitedError as error:
                self.supervisor.retire(child, str(error))

    def _image(self, child: ChildProcess, answer: Answer, target: ResizeSpec) -> DecodedImage:
        message, fds = answer
        if not message.get("ok"):
            close_fds(fds)
            raise self._refused(str(message.get("code")))
        try:
            image = decoded_image_of(message, fds, target, self.limits)
        except (ValueError, TypeError, OSError) as error:
            close_fds(fds)
            self.supervisor.retire(child, str(error))
            raise self._refused(DECODE_FAILED) from None
        self.decoded += 1
        return image

    def _refused(self, code: str) -> ServiceError:
        self.refused += 1
        return image_error(code, self.limits)


def _discard(work: asyncio.Task[DecodedImage]) -> None:
    if not work.cancelled() and work.exception() is None:
        work.result().close()
