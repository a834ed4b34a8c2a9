"""Images on their way to embeddings: one at a time beside the language model, each kept for its owner."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from time import perf_counter

from hailo_common.engine.contract import RgbImage
from hailo_common.owner import OwnedParts, Store
from hailo_vision.gguf.prompt import ImageInput
from hailo_vision.gguf.vision import ImagePart, Parts, Projector

Encoded = tuple[Parts, float]
"""Parts with embeddings, and the seconds that they took; 0 where they were known."""


class ImageEncoder:
    """Runs the projector in a thread of its own, because a picture takes seconds and cannot be stopped.

    Meanwhile the engine answers its parent, drops what is cancelled, and goes on with other conversations.
    """

    def __init__(self, projector: Projector, kept_bytes: int) -> None:
        """`kept_bytes` of embeddings stay for images that come again."""
        self.projector = projector
        self._kept: OwnedParts[Store[bytes, Parts]] = OwnedParts(kept_bytes, Store)
        self._under_way: dict[tuple[str, bytes], Future[Encoded]] = {}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="vision")

    def start(self, owner: str, image: ImageInput) -> Future[Encoded]:
        """Embeddings of an image, now or later; an image that is under way is not encoded twice."""
        key = owner, image.digest
        known = self._kept.of(owner).get(image.digest)
        if known is not None:
            done: Future[Encoded] = Future()
            done.set_result((known, 0.0))
            return done
        if key not in self._under_way:
            # The shared memory of the pixels goes with the request, which may be given up meanwhile.
            self._under_way[key] = self._pool.submit(self._encode, image.pixels.copy())
        return self._under_way[key]

    def _encode(self, pixels: RgbImage) -> Encoded:
        began = perf_counter()
        return self.projector.encode(pixels), perf_counter() - began

    def wait(self, seconds: float) -> None:
        """Return when an image is done, or after so many seconds."""
        wait(self._under_way.values(), timeout=seconds, return_when=FIRST_COMPLETED)

    def settle(self) -> None:
        """Keep what is done."""
        for key, future in list(self._under_way.items()):
            if future.done():
                del self._under_way[key]
                if not future.cancelled() and future.exception() is None:
                    owner, digest = key
                    parts = future.result()[0]
                    self._kept.of(owner).put(digest, parts, _bytes(parts))

    def abandon(self, futures: Sequence[Future[Encoded]]) -> None:
        """Nobody waits for these any more: those that have not begun never will."""
        for key, future in list(self._under_way.items()):
            if future in futures and future.cancel():
                del self._under_way[key]

    def close(self) -> None:
        """End the thread after the image that it works on, and release the projector."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._kept.close()
        self.projector.close()


def _bytes(parts: Parts) -> int:
    arrays = (part.embeddings for part in parts if isinstance(part, ImagePart))
    return sum(0 if array is None else array.nbytes for array in arrays)
