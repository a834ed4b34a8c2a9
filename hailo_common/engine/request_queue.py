"""The one queue in front of the engine: bounded, first come first served, with an honest Retry-After.

Background requests wait behind all others and are interrupted by them; they run again from the start, and
what they had already answered is not given twice.

A streamed answer that is made again from its start, given on without what was given already.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import Any

from hailo_common.engine.contract import Event
from hailo_common.engine.job import ImageHandle
from hailo_common.engine.priority import PriorityScheduler, QueuedRequest
from hailo_common.engine.supervisor import EngineSupervisor
from hailo_common.errors import RETRY_AFTER_MAX_S, Busy, Interrupted, QueueTimeout, stopping


class ResumedStream:
    """Passes events on; after `again` it leaves out the first `started` and as much text as was passed on."""

    def __init__(self) -> None:
        self._told_start = False
        self._told = 0
        self._left_out = 0

    def again(self) -> None:
        """The engine starts over."""
        self._left_out = self._told

    def fresh(self, events: Sequence[Event]) -> list[Event]:
        """The events that the reader has not seen."""
        return [event for event in map(self._fresh, events) if event]

    def _fresh(self, event: Event) -> Event:
        if "started" in event:
            seen, self._told_start = self._told_start, True
            return {} if seen else event
        if "text" not in event:
            return event
        text: str = event["text"]
        if self._left_out:
            skipped = min(self._left_out, len(text))
            self._left_out -= skipped
            text = text[skipped:]
        self._told += len(text)
        return event if len(text) == len(event["text"]) else {"text": text} if text else {}


_SMOOTHING = 0.2


class RequestQueue:
    """Admits `size` requests beside the one that runs; a place covers upload, decoding and waiting.

    No request waits longer than `wait_s` for its turn, no background request is passed over or interrupted
    once it is `patience_s` old.
    """

    def __init__(
        self, engine: EngineSupervisor, *, size: int, wait_s: float = 300.0, patience_s: float = 20.0
    ) -> None:
        self.engine = engine
        self.size = size
        self.wait_s = wait_s
        self.stopping = False
        self._abandoned = False
        self.taken = 0
        self.refused = 0
        self.interrupted = 0
        self._turns = PriorityScheduler(patience_s, engine.interrupt)
        self._seconds = 0.0

    @property
    def running(self) -> int:
        """1 while a request is in the engine, else 0."""
        return int(self._turns.running is not None)

    @property
    def waiting(self) -> int:
        """Requests admitted and not yet in the engine."""
        return max(0, self.taken - self.running)

    @property
    def retry_after(self) -> int:
        """Whole seconds until a place should be free, from measured seconds per request; 1 to 120."""
        return min(RETRY_AFTER_MAX_S, max(1, math.ceil(self._seconds * self.taken)))

    @contextlib.contextmanager
    def admit(self) -> Iterator[None]:
        """Take a place before the body is read. Raises NotReady or Busy at once."""
        state = self.engine.state
        if self.stopping:
            raise stopping()
        if not state.admits:
            raise state.not_ready()
        if self.taken > self.size:
            self.refused += 1
            raise Busy(f"The queue of {self.size} is full.", retry_after=self.retry_after)
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1

    async def run(
        self,
        request: Mapping[str, Any],
        images: Sequence[ImageHandle],
        *,
        stream: bool = False,
        background: bool = False,
    ) -> AsyncGenerator[list[Event], None]:
        """Wait for the turn, then run; yields events as many at a time as have come. Call inside `place()`.

        A background request must give the same answer when it runs again: its `seed` is set. Closing the
        iterator gives the turn back.
        """
        queued, replay = QueuedRequest(background), ResumedStream()
        while True:
            try:
                async with contextlib.aclosing(self._run_once(queued, request, images, stream)) as batches:
                    async for events in batches:
                        if fresh := replay.fresh(events):
                            yield fresh
                return
            except Interrupted:
                self.interrupted += 1
                replay.again()

    async def _run_once(
        self, queued: QueuedRequest, request: Mapping[str, Any], images: Sequence[ImageHandle], stream: bool
    ) -> AsyncGenerator[list[Event], None]:
        await self._wait(queued)
        try:
            await self.engine.until_ready(self.engine.spec.request_timeout_s)
            if queued.asked_to_yield:
                raise Interrupted("Another request went first.", retry_after=1)
            started, ended = time.monotonic(), [0.0]

            def on_end() -> None:
                # At once, not when the answer has been read: a slow reader must not keep the engine.
                ended[0] = time.monotonic()
                self._turns.leave(queued)

            run = self.engine.run(request, images, stream=stream, on_end=on_end)
            async with contextlib.aclosing(run) as batches:
                async for events in batches:
                    yield events
            self._measure(ended[0] - started)
        finally:
            self._turns.leave(queued)

    async def _wait(self, queued: QueuedRequest) -> None:
        left = queued.since + self.wait_s - time.monotonic()
        try:
            await self._turns.wait(queued, max(0.001, left))
        except TimeoutError:
            raise QueueTimeout(
                f"The request waited {self.wait_s:g} s in vain.", retry_after=self.retry_after
            ) from None
        if self._abandoned:
            self._turns.leave(queued)
            raise stopping()

    async def result(
        self, request: Mapping[str, Any], images: Sequence[ImageHandle], *, background: bool = False
    ) -> dict[str, Any]:
        """The final result of `run`."""
        answer: dict[str, Any] = {}
        async with contextlib.aclosing(self.run(request, images, background=background)) as batches:
            async for events in batches:
                answer = events[-1].get("result", answer)
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
