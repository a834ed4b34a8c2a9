"""Whose request this is, and caches that keep owners apart.

The HTTP side sets `owner` once it knows the client; queue and decoder read it. An owner is a name made in
this process and good for its life: neither a key nor anything that leads to one.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from contextvars import ContextVar
from typing import Generic, Protocol, TypeVar

EVERYBODY = ""
"""The one owner of a service that knows no clients apart."""
MOST_OWNERS = 8
IDLE_S = 600.0
"""Who asked nothing for so long gives his part of a cache to the others."""

owner: ContextVar[str] = ContextVar("owner", default=EVERYBODY)
"""The owner of the request this task works on."""


class Bounded(Protocol):
    """A cache whose size may change."""

    @property
    def held(self) -> int:
        """Bytes in use."""
        ...

    def shrink(self, nbytes: int) -> None:
        """Forget what was not used for longest, until `nbytes` are in use."""
        ...

    def resize(self, limit: int) -> None:
        """Hold at most `limit` bytes from now on."""
        ...


Part = TypeVar("Part", bound=Bounded)
Key = TypeVar("Key")
Item = TypeVar("Item")


class Store(Generic[Key, Item]):
    """Items by key, the oldest use first; `limit` in bytes, 0 keeps nothing."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self._items: OrderedDict[Key, tuple[Item, int]] = OrderedDict()

    def get(self, key: Key) -> Item | None:
        """The item, which counts as used now."""
        if key not in self._items:
            return None
        self._items.move_to_end(key)
        return self._items[key][0]

    def put(self, key: Key, item: Item, nbytes: int) -> None:
        """Keep an item of `nbytes`; one above the limit is not kept."""
        self.drop(key)
        if nbytes > self.limit:
            return
        self._items[key] = item, nbytes
        self.held += nbytes
        self.shrink(self.limit)

    def resize(self, limit: int) -> None:
        """See `Bounded`."""
        self.limit = limit
        self.shrink(limit)

    def shrink(self, nbytes: int) -> None:
        """Forget what was not used for longest, until `nbytes` are held."""
        while self.held > max(0, nbytes):
            self.drop_oldest()

    def drop(self, key: Key) -> Item | None:
        """Forget an item and return it, if it is there."""
        item, nbytes = self._items.pop(key, (None, 0))
        self.held -= nbytes
        return item

    def drop_oldest(self) -> None:
        """Forget what was not used for longest; there is something."""
        self.drop(next(iter(self._items)))

    def items(self) -> list[tuple[Key, Item]]:
        """All of them; none counts as used."""
        return [(key, item) for key, (item, _) in self._items.items()]


class OwnedParts(Generic[Part]):
    """A cache of `limit` bytes in equal parts, one for each owner who asked lately.

    Equal, whatever each of them holds: with one pool, what is missing of one's own would tell how much
    others had asked. That another asks at all is no secret, since everybody waits in the same queue.
    """

    def __init__(self, limit: int, make: Callable[[int], Part]) -> None:
        """`make` makes an empty part of so many bytes."""
        self.limit = limit
        self._make = make
        self._parts: OrderedDict[str, tuple[Part, float]] = OrderedDict()

    @property
    def held(self) -> int:
        """Bytes in use, of all owners."""
        return sum(part.held for part, _ in self._parts.values())

    def shrink(self, nbytes: int) -> None:
        """Let each part keep an equal share of `nbytes`; what it loses may come again."""
        for part, _ in self._parts.values():
            part.shrink(nbytes // len(self._parts))

    def of(self, owner: str) -> Part:
        """The part of an owner, who counts as asking now."""
        now = time.monotonic()
        before = len(self._parts)
        part, _ = self._parts.pop(owner, (None, 0.0))
        self._forget_idle(now)
        share = self.limit // (len(self._parts) + 1)
        if part is None:
            part = self._make(share)
        self._parts[owner] = part, now
        if len(self._parts) != before:
            for each, _ in self._parts.values():
                each.resize(share)
        return part

    def close(self) -> None:
        """Empty and forget all parts."""
        while self._parts:
            self._drop_oldest()

    def _forget_idle(self, now: float) -> None:
        while self._parts:
            _, asked = next(iter(self._parts.values()))
            if len(self._parts) < MOST_OWNERS and now - asked < IDLE_S:
                return
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        _, (part, _) = self._parts.popitem(last=False)
        part.resize(0)
