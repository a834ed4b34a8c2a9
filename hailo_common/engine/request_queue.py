"""The one queue in front of the engine: bounded, first come first served, with an honest Retry-After.

Background requests wait behind all others and are interrupted by them; they run again from the start, and
what they had already answered is not given twice.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from hailo_common.engine.contract import EngineRequest
from hailo_common.engine.job import ImageHandle, Job
from hailo_common.engine.priority import PriorityScheduler, QueuedRequest
from hailo_common.engine.stream import EngineStream, Result
from hailo_common.engine.supervisor import EngineSupervisor
from hailo_common.errors import RETRY_AFTER_MAX_S, Busy, Interrupted, QueueTimeout, stopping
from hailo_common.owner import owner
from hailo_common.systemd.record import request_id

_SMOOTHING = 0.2


@dataclass(frozen=True)
class QueuePlace:
    """Where a request stands: how many wait before it, and about how many seconds pass until its turn."""

    ahead: int
    seconds: float


class RequestQueue:
    """Admits `size` requests beside those that run; a place covers decoding and waiting.

    No request waits longer than `wait_s` for its turn, no background request is passed over or interrupted
    once it is `patience_s` old.
    """

    def __init__(self, engine: EngineSupervisor, *, size: int, wait_s: float, patience_s: float) -> None:
        self.engine = engine
        self.size = size
        self.wait_s = wait_s
        self.stopping = False
        self._abandoned = False
        self.taken = 0
        self.refused = 0
        self.interrupted = 0
        self.load_ahead: Callable[[], float] = lambda: 0.0
        """Seconds until the model is loaded, for `retry_after`."""
        self._scheduler = PriorityScheduler(patience_s, self._interrupt, lambda: engine.state.parallel)
        self._jobs: dict[QueuedRequest, Job] = {}
        self._seconds = 0.0

    @property
    def running(self) -> int:
        """Requests in the engine."""
        return len(self._scheduler.running)

    @property
    def waiting(self) -> int:
        """Requests admitted and not yet in the engine."""
        return max(0, self.taken - self.running)

    @property
    def retry_after(self) -> int:
        """Whole seconds until a place should be free, from measured seconds per request; 1 to 120."""
        turns = self.taken / self.engine.state.parallel
        seconds = self._seconds * turns + self.load_ahead()
        return min(RETRY_AFTER_MAX_S, max(1, math.ceil(seconds)))

    @property
    def full(self) -> bool:
        """Whether all places are taken."""
        return self.taken >= self.size + self.engine.state.parallel

    def place(self, name: str) -> QueuePlace | None:
        """The place of a request by its id; None where it does not wait for its turn."""
        ahead = self._scheduler.ahead_of(name)
        if ahead is None:
            return None
        turns = (ahead + self.running) / self.engine.state.parallel
        return QueuePlace(ahead, self._seconds * turns + self.load_ahead())

    def check(self) -> None:
        """Raise NotReady or Busy at once where a request would not get a place, before its body is read."""
        state = self.engine.state
        if self.stopping:
            raise stopping()
        if not state.admits:
            raise state.not_ready()
        if self.full:
            self.refused += 1
            raise Busy(
                f"The queue of {self.size} is full (queue_size); try again later.",
                retry_after=self.retry_after,
            )

    @contextlib.contextmanager
    def admit(self) -> Iterator[None]:
        """Take a place, once the body is there: an upload that stalls holds none. Raises as `check` does."""
        self.check()
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1

    def run(
        self,
        request: EngineRequest,
        images: Sequence[ImageHandle],
        result_type: type[Result],
        *,
        stream: bool = False,
        background: bool = False,
    ) -> EngineStream[Result]:
        """A request that has not begun, of the owner whom this task works for; use and close it in `admit()`.

        A background request must give the same answer when it runs again: its `seed` is set.
        """
        queued = QueuedRequest(background, request_id.get())
        owned = request.owned_by(owner.get())
        return EngineStream(self, queued, owned, images, result_type=result_type, stream=stream)

    async def result(
        self, request: EngineRequest, images: Sequence[ImageHandle], result_type: type[Result]
    ) -> Result:
        """The result of `run`; cancelling it cancels the inference."""
        async with contextlib.aclosing(self.run(request, images, result_type)) as stream:
            await stream.begin()
            return await stream.finish()

    async def enter(
        self, queued: QueuedRequest, request: EngineRequest, images: Sequence[ImageHandle], *, stream: bool
    ) -> Job:
        """Wait for the turn and for the engine, then give it the request. End the turn with `leave`."""
        await self._wait(queued)
        await self.engine.until_ready(self.engine.spec.request_timeout_s)
        if queued.asked_to_yield:
            raise Interrupted("Another request went first.", retry_after=1)
        started = time.monotonic()

        def on_end() -> None:
            # At once, not when the answer has been read: a slow reader must not keep the engine.
            if job.result is not None:
                self._measure(time.monotonic() - started)
            self._jobs.pop(queued, None)
            self._scheduler.leave(queued)

        job = self.engine.submit(request, images, stream=stream, on_end=on_end)
        self._jobs[queued] = job
        return job

    def _interrupt(self, queued: QueuedRequest) -> None:
        job = self._jobs.get(queued)
        if job is not None:
            self.engine.interrupt(job)

    def leave(self, queued: QueuedRequest, job: Job | None) -> None:
        """Cancel the job where it is not finished, and give the turn back. May be called twice."""
        if job is not None:
            self.engine.cancel(job)
        self._scheduler.leave(queued)

    async def _wait(self, queued: QueuedRequest) -> None:
        left = queued.since + self.wait_s - time.monotonic()
        try:
            await self._scheduler.wait(queued, max(0.001, left))
        except TimeoutError:
            raise QueueTimeout(
                f"The request waited {self.wait_s:g} s without a turn.", retry_after=self.retry_after
            ) from None
        if self._abandoned:
            self._scheduler.leave(queued)
            raise stopping()

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
