"""Pictures decoded lately: who asks again about one sends it again, and decoding it takes time."""

from __future__ import annotations

import os
from collections import OrderedDict
from dataclasses import replace

from hailo_common.images.handles import RemotePicture
from hailo_common.images.resize import Target

MOST = 64
"""Pictures kept at most, each of which takes a file descriptor."""

Key = tuple[bytes, Target]


class RecentPictures:
    """The last decoded pictures by their file's digest and target, in no more than `max_bytes` of pixels.

    Their memfds are sealed, so that sharing one is safe; each user closes a descriptor of its own.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.found = 0
        self._kept: OrderedDict[Key, RemotePicture] = OrderedDict()
        self._bytes = 0

    def get(self, key: Key) -> RemotePicture | None:
        """The picture, which the caller closes, or None."""
        picture = self._kept.get(key)
        if picture is None:
            return None
        self._kept.move_to_end(key)
        self.found += 1
        return _shared(picture)

    def put(self, key: Key, picture: RemotePicture) -> None:
        """Keep it; the caller closes its own all the same."""
        if key in self._kept or picture.bytes > self.max_bytes:
            return
        self._kept[key] = _shared(picture)
        self._bytes += picture.bytes
        while self._bytes > self.max_bytes or len(self._kept) > MOST:
            self._drop()

    def close(self) -> None:
        """Forget all of them."""
        while self._kept:
            self._drop()

    def _drop(self) -> None:
        _, picture = self._kept.popitem(last=False)
        self._bytes -= picture.bytes
        picture.close()


def _shared(picture: RemotePicture) -> RemotePicture:
    return replace(picture, fd=os.dup(picture.fd))
