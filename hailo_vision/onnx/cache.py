"""What later requests may use again: features of images, and the decoder's past of conversations.

Both hold at most so many bytes and forget what was not used for longest. Nothing here changes an answer: a
past is used only up to the first token, or the first image, in which two conversations differ. Each is one
owner's: see `hailo_common.owner`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from hailo_common.owner import Store
from hailo_vision.onnx.stages import Floats, KVCache


class FeatureCache(Store[bytes, Floats]):
    """Features by the image's digest."""

    def keep(self, digest: bytes, features: Floats) -> None:
        """Keep what the vision encoder made of an image."""
        self.put(digest, features, features.nbytes)


@dataclass(frozen=True, eq=False)
class History:
    """The tokens of a conversation, and its images as (first token, digest) in order."""

    ids: NDArray[np.int64]
    images: tuple[tuple[int, bytes], ...] = ()

    def common(self, other: History) -> int:
        """How many tokens both begin with; those of an image are equal only in equal images."""
        shorter = min(self.ids.size, other.ids.size)
        differing = np.flatnonzero(self.ids[:shorter] != other.ids[:shorter])
        length = int(differing[0]) if differing.size else shorter
        for mine, others in zip_longest(self.images, other.images):
            if mine != others:
                return min(length, *(image[0] for image in (mine, others) if image is not None))
        return length


@dataclass(frozen=True, eq=False)
class _Conversation:
    tokens: History
    past: KVCache


@dataclass
class ConversationCache:
    """Pasts of the last conversations; `limit` in bytes, 0 keeps nothing."""

    limit: int
    _store: Store[int, _Conversation] = field(init=False)
    _number: int = 0

    def __post_init__(self) -> None:
        self._store = Store(self.limit)

    @property
    def held(self) -> int:
        """Bytes in use."""
        return self._store.held

    def shrink(self, nbytes: int) -> None:
        """Forget what was not used for longest, until `nbytes` are held."""
        self._store.shrink(nbytes)

    def resize(self, limit: int) -> None:
        """See `hailo_common.owner.Bounded`."""
        self.limit = limit
        self._store.resize(limit)

    def find(self, tokens: History, most: int) -> KVCache | None:
        """The past of the longest beginning of `tokens` that is known, cut to `most` tokens."""
        shared = [(item.tokens.common(tokens), key) for key, item in self._store.items()]
        length, key = max(shared, default=(0, 0))
        found = self._store.get(key) if length else None
        return found.past.cut(min(length, most)) if found else None

    def keep(self, tokens: History, past: KVCache) -> None:
        """Keep the past of `tokens`; it takes the place of those that it continues.

        One that a kept past already continues is not kept, and that one counts as used.
        """
        for key, item in self._store.items():
            shared = item.tokens.common(tokens)
            if shared == tokens.ids.size:
                self._store.get(key)
                return
            if shared == item.tokens.ids.size:
                self._store.drop(key)
        self._number += 1
        self._store.put(self._number, _Conversation(tokens, past), past.nbytes + tokens.ids.nbytes)


def history(ids: Sequence[int], images: Sequence[tuple[int, bytes]]) -> History:
    """Tokens and images of a conversation as the cache compares them."""
    return History(np.array(ids, np.int64), tuple(images))
