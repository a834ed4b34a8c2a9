"""One pass of a conversation through the engine, as it is going on."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from typing import Any

from hailo_common.engine.contract import Event


class EngineStream:
    """`begin` first; then read all `texts`; then `result` is there. Times are of the monotonic clock."""

    def __init__(self, batches: AsyncGenerator[list[Event], None]) -> None:
        self.started: dict[str, Any] = {}
        self.result: dict[str, Any] = {}
        self.began_at = 0.0
        self.first_at = 0.0
        self.ended_at = 0.0
        self._batches = batches
        self._waiting: list[Event] = []

    async def begin(self) -> None:
        """Wait until the engine has taken the request. What it refuses is raised here."""
        self._waiting = await anext(self._batches)
        self.began_at = time.monotonic()
        for event in self._waiting:
            self.started = event.get("started", self.started)

    async def texts(self) -> AsyncGenerator[list[str], None]:
        """Pieces of text, as many at a time as have come; empty ones are left out."""
        if texts := self._take(self._waiting):
            yield texts
        async for events in self._batches:
            if texts := self._take(events):
                yield texts

    async def finish(self) -> dict[str, Any]:
        """Read to the end and return the result."""
        async for _ in self.texts():
            pass
        return self.result

    async def aclose(self) -> None:
        """Cancel what is not finished. May be called twice."""
        await self._batches.aclose()

    def _take(self, events: list[Event]) -> list[str]:
        texts = []
        for event in events:
            if "text" in event:
                texts.append(event["text"])
            elif "result" in event:
                self.result = event["result"]
                self.ended_at = time.monotonic()
        texts = [text for text in texts if text]
        if not self.first_at and (texts or self.result):
            self.first_at = time.monotonic()
        return texts
