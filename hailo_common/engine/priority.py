"""Whose turn it is: two queues in front of one engine, the urgent one first, nobody left waiting for ever."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(eq=False)
class QueuedRequest:
    """One request that wants the engine. `since` is when it came; it keeps that when it has to give way."""

    background: bool = False
    name: str = ""
    """The id of the request, by which it is found while it waits."""
    since: float = field(default_factory=time.monotonic)
    asked_to_yield: bool = False
    granted: asyncio.Future[None] | None = None


class PriorityScheduler:
    """First come, first served within each queue; background tickets go last and give way while they run.

    A background request that came longer than `patience_s` ago is no longer passed over nor interrupted.
    """

    def __init__(
        self,
        patience_s: float,
        interrupt: Callable[[QueuedRequest], None],
        places: Callable[[], int] = lambda: 1,
    ) -> None:
        """`interrupt` ends one that runs; `places` says how many may run at once, now."""
        self.patience_s = patience_s
        self.running: list[QueuedRequest] = []
        self._interrupt = interrupt
        self._places = places
        self._urgent: deque[QueuedRequest] = deque()
        self._background: deque[QueuedRequest] = deque()

    async def wait(self, queued: QueuedRequest, timeout_s: float) -> None:
        """Return when the engine is free for it; raises TimeoutError. One that gave way goes to the head."""
        granted = queued.granted = asyncio.get_running_loop().create_future()
        queue = self._background if queued.background else self._urgent
        if queued.asked_to_yield:
            queued.asked_to_yield = False
            queue.appendleft(queued)
        else:
            queue.append(queued)
        self._next()
        if not granted.done() and not queued.background:
            self._make_way()
        try:
            async with asyncio.timeout(timeout_s):
                await granted
        except BaseException:
            self.leave(queued)
            raise

    def leave(self, queued: QueuedRequest) -> None:
        """Give the turn back, or stop waiting for it; more calls do nothing."""
        if queued in self.running:
            self.running.remove(queued)
            self._next()
            return
        for queue in (self._urgent, self._background):
            if queued in queue:
                queue.remove(queued)

    def ahead_of(self, name: str) -> int | None:
        """How many wait before the request of that name; None where it does not wait."""
        names = [each.name for each in (*self._urgent, *self._background)]
        return names.index(name) if name and name in names else None

    def _next(self) -> None:
        while len(self.running) < self._places():
            overdue = bool(self._background) and self._is_overdue(self._background[0])
            queue = self._urgent if self._urgent and not overdue else self._background
            if not queue:
                return
            queued = queue.popleft()
            self.running.append(queued)
            assert queued.granted is not None
            if not queued.granted.done():
                queued.granted.set_result(None)

    def _make_way(self) -> None:
        """Ask the youngest background request that runs to give way to one that waits."""
        yielding = sum(running.asked_to_yield for running in self.running)
        if yielding >= len(self._urgent):
            return
        for running in sorted(self.running, key=lambda one: one.since, reverse=True):
            if running.background and not running.asked_to_yield and not self._is_overdue(running):
                running.asked_to_yield = True
                self._interrupt(running)
                return

    def _is_overdue(self, queued: QueuedRequest) -> bool:
        return time.monotonic() - queued.since > self.patience_s
