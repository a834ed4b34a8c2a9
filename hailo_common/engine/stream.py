"""One request through queue and engine, as its reader sees it: a beginning, texts as they come, a result."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from hailo_common.engine.contract import EngineRequest, EngineResult, EngineStarted
from hailo_common.engine.job import ImageHandle, Job
from hailo_common.engine.priority import QueuedRequest
from hailo_common.errors import Interrupted

if TYPE_CHECKING:
    from hailo_common.engine.request_queue import RequestQueue

Result = TypeVar("Result", bound=EngineResult)


class ResumedText:
    """A streamed answer that is made again from its start, given on without what was given already."""

    def __init__(self) -> None:
        self._given = 0
        self._left_out = 0

    def again(self) -> None:
        """The engine starts over."""
        self._left_out = self._given

    def fresh(self, texts: list[str]) -> list[str]:
        """What the reader has not seen of `texts`; empty pieces are left out."""
        fresh = []
        for text in texts:
            skipped = min(self._left_out, len(text))
            self._left_out -= skipped
            if rest := text[skipped:]:
                self._given += len(rest)
                fresh.append(rest)
        return fresh


class EngineStream(Generic[Result]):
    """`begin` first; then `texts` until there are none; then `result` is there.

    Closing it cancels what is not finished and gives the turn back. Times are of the monotonic clock:
    `began_at` is when the engine took the request, `first_at` when the first text came, `ended_at` when the
    result did.
    """

    result: Result

    def __init__(
        self,
        queue: RequestQueue,
        queued: QueuedRequest,
        request: EngineRequest,
        images: Sequence[ImageHandle],
        *,
        result_type: type[Result],
        stream: bool,
    ) -> None:
        self.began_at = self.first_at = self.ended_at = 0.0
        self._queue, self._queued = queue, queued
        self._request, self._images, self._stream = request, images, stream
        self._result_type = result_type
        self._job: Job | None = None
        self._resumed = ResumedText()
        self._waiting: list[str] = []

    @property
    def started(self) -> EngineStarted | None:
        """What the engine said at its start; None before, and from an engine that says nothing."""
        return self._job.started if self._job else None

    async def begin(self) -> None:
        """Wait until the engine has taken the request. What it refuses is raised here."""
        self._waiting = await self._news()
        self.began_at = time.monotonic()

    async def texts(self) -> list[str]:
        """Pieces of text, as many as have come, none of them empty; no piece once all have been read."""
        texts, self._waiting = self._waiting, []
        while not texts and not self.ended_at:
            texts = await self._news()
        if not self.first_at:
            self.first_at = time.monotonic()
        return texts

    async def finish(self) -> Result:
        """Read to the end and return the result."""
        while await self.texts():
            pass
        return self.result

    async def aclose(self) -> None:
        """Cancel what is not finished. May be called twice."""
        self._queue.leave(self._queued, self._job)

    async def _news(self) -> list[str]:
        """What has come and is new to the reader; runs an interrupted request again."""
        while True:
            try:
                if self._job is None:
                    self._job = await self._queue.enter(
                        self._queued, self._request, self._images, stream=self._stream
                    )
                texts = self._resumed.fresh(await self._job.news())
                break
            except Interrupted:
                self._queue.interrupted += 1
                self._queue.leave(self._queued, self._job)
                self._job = None
                self._resumed.again()
        if self._job.result is not None and not self.ended_at:
            self.result = self._result_type.from_json(self._job.result)
            self.ended_at = time.monotonic()
        return texts
