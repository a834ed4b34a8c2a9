"""API keys, kept only as digests: nothing that prints or logs this object can show a key."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable


class Keys:
    """Any number of keys; `accepts` takes the same time whichever of them matches."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._digests = tuple(_digest(key) for key in keys)

    def __bool__(self) -> bool:
        return bool(self._digests)

    def __len__(self) -> int:
        return len(self._digests)

    def accepts(self, key: str) -> bool:
        """Whether `key` is one of them."""
        presented = _digest(key)
        matches = [hmac.compare_digest(presented, digest) for digest in self._digests]
        return any(matches)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
