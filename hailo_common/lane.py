"""The one queue in front of the engine: bounded, first come first served, with an honest Retry-After."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from hailo_common.engine.contract import Event
from hailo_common.engine.job import PictureHandle
from hailo_common.engine.supervisor import EngineSupervisor
from hailo_common.errors import RETRY_AFTER_MAX_S, Busy, NotReady, stopping

_SMOOTHING = 0.2


class Lane:
    """Admits `size` requests beside the one that runs; a place covers upload, decoding and waiting."""

    def __init__(self, engine: EngineSupervisor, *, size: int) -> None:
        self.engine = engine
        self.size = size
        self.stopping = False
        self._abandoned = False
        self.taken = 0
        self.refused = 0
        self._turn = asyncio.Lock()
        self._seconds = 0.0

    @property
    def running(self) -> int:
        """1 while a request is in the engine, else 0."""
        return int(self._turn.locked())

    @property
    def waiting(self) -> int:
        """Requests admitted and not yet in the engine."""
        return max(0, self.taken - self.running)

    @property
    def retry_after(self) -> int:
        """Whole seconds until a place should be free, from measured seconds per request; 1 to 120."""
        return min(RETRY_AFTER_MAX_S, max(1, math.ceil(self._seconds * self.taken)))

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Take a place before the body is read. Raises NotReady or Busy at once."""
        state = self.engine.state
        if self.stopping:
            raise stopping()
        if not state.ready:
            raise NotReady(f"The model is not ready: {state.reason}.", retry_after=5)
        if self.taken > self.size:
            self.refused += 1
            raise Busy(f"The queue of {self.size} is full.", retry_after=self.retry_after)
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1

    async def run(
        self, request: Mapping[str, Any], pictures: Sequence[PictureHandle], *, stream: bool = False
    ) -> AsyncIterator[Event]:
        """Wait for the turn, then run; call it inside `place()`. Closing the iterator gives the turn back."""
        async with self._turn:
            if self._abandoned:
                raise stopping()
            await self.engine.until_ready(self.engine.spec.request_timeout_s)
            started = time.monotonic()
            events = self.engine.run(request, pictures, stream=stream)
            async with contextlib.aclosing(events):  # type: ignore[type-var]
                async for event in events:
                    yield event
            self._measure(time.monotonic() - started)

    async def result(self, request: Mapping[str, Any], pictures: Sequence[PictureHandle]) -> dict[str, Any]:
        """The final result of `run`."""
        answer: dict[str, Any] = {}
        events = self.run(request, pictures)
        async with contextlib.aclosing(events):  # type: ignore[type-var]
            async for event in events:
                answer = event.get("result", answer)
        return answer

    def stop(self) -> None:
        """Refuse new requests; those admitted go on."""
        self.stopping = True

    def abandon(self) -> None:
        """Give those admitted a clean error, too: the grace is over."""
        self.stopping = self._abandoned = True
        self.engine.abandon()

    def _measure(self, seconds: float) -> None:
        change = seconds - self._seconds
        self._seconds = self._seconds + _SMOOTHING * change if self._seconds else seconds
