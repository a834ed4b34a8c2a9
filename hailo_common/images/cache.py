"""Pictures decoded lately: who asks again about one sends it again, and decoding it takes time."""

from __future__ import annotations

import os
from collections import OrderedDict
from dataclasses import replace

from hailo_common.images.handles import DecodedImage
from hailo_common.images.resize import ResizeSpec

MOST = 64
"""Pictures kept at most, each of which takes a file descriptor."""

CacheKey = tuple[bytes, ResizeSpec]


class ImageCache:
    """The last decoded pictures by their file's digest and target, in no more than `max_bytes` of pixels.

    Their memfds are sealed, so that sharing one is safe; each user closes a descriptor of its own.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.found = 0
        self._kept: OrderedDict[CacheKey, DecodedImage] = OrderedDict()
        self._bytes = 0

    def get(self, key: CacheKey) -> DecodedImage | None:
        """The picture, which the caller closes, or None."""
        image = self._kept.get(key)
        if image is None:
            return None
        self._kept.move_to_end(key)
        self.found += 1
        return _shared(image)

    def put(self, key: CacheKey, image: DecodedImage) -> None:
        """Keep it; the caller closes its own all the same."""
        if key in self._kept or image.bytes > self.max_bytes:
            return
        self._kept[key] = _shared(image)
        self._bytes += image.bytes
        while self._bytes > self.max_bytes or len(self._kept) > MOST:
            self._drop()

    def close(self) -> None:
        """Forget all of them."""
        while self._kept:
            self._drop()

    def _drop(self) -> None:
        _, image = self._kept.popitem(last=False)
        self._bytes -= image.bytes
        image.close()


def _shared(image: DecodedImage) -> DecodedImage:
    return replace(image, fd=os.dup(image.fd))
