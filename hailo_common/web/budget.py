"""A bound on the bytes of request bodies that are in memory at one time."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque


class ByteBudget:
    """Bytes that are handed out first come, first served."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._free = total
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def used(self) -> int:
        """Bytes that are handed out now."""
        return self._total - self._free

    async def take(self, wanted: int) -> int:
        """Wait for `wanted` bytes (at most all of them) and take them; returns what to give back."""
        amount = min(wanted, self._total)
        if not self._waiting and amount <= self._free:
            self._free -= amount
            return amount
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (amount, turn)
        self._waiting.append(entry)
        try:
            await turn
        except asyncio.CancelledError:
            self._withdraw(entry)
            raise
        return amount

    def give_back(self, amount: int) -> None:
        """Return bytes that `take` handed out."""
        self._free += amount
        self._wake()

    def _withdraw(self, entry: tuple[int, asyncio.Future[None]]) -> None:
        amount, turn = entry
        # The bytes may have been granted in the same turn of the loop that cancelled the wait.
        if turn.done() and not turn.cancelled():
            self.give_back(amount)
            return
        with contextlib.suppress(ValueError):
            self._waiting.remove(entry)
        self._wake()

    def _wake(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            amount, turn = self._waiting.popleft()
            if turn.cancelled():
                continue
            self._free -= amount
            turn.set_result(None)
