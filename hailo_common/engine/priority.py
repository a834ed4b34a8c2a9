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
    since: float = field(default_factory=time.monotonic)
    asked_to_yield: bool = False
    granted: asyncio.Future[None] | None = None


class PriorityScheduler:
    """First come, first served within each queue; background tickets go last and give way while they run.

    A background request that came longer than `patience_s` ago is no longer passed over nor interrupted.
    """

    def __init__(self, patience_s: float, interrupt: Callable[[], None]) -> None:
        self.patience_s = patience_s
        self.running: QueuedRequest | None = None
        self._interrupt = interrupt
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
        self._make_way(queued)
        try:
            async with asyncio.timeout(timeout_s):
                await granted
        except BaseException:
            self.leave(queued)
            raise

    def leave(self, queued: QueuedRequest) -> None:
        """Give the turn back, or stop waiting for it; more calls do nothing."""
        if self.running is queued:
            self.running = None
            self._next()
            return
        for queue in (self._urgent, self._background):
            if queued in queue:
                queue.remove(queued)

    def _next(self) -> None:
        if self.running is not None:
            return
        overdue = bool(self._background) and self._is_overdue(self._background[0])
        queue = self._urgent if self._urgent and not overdue else self._background
        if queue:
            self.running = queue.popleft()
            assert self.running.granted is not None
            if not self.running.granted.done():
                self.running.granted.set_result(None)

    def _make_way(self, queued: QueuedRequest) -> None:
        running = self.running
        if running is None or running is queued or queued.background or not running.background:
            return
        if not running.asked_to_yield and not self._is_overdue(running):
            running.asked_to_yield = True
            self._interrupt()

    def _is_overdue(self, queued: QueuedRequest) -> bool:
        return time.monotonic() - queued.since > self.patience_s
