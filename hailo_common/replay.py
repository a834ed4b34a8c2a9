"""A streamed answer that is made again from its start, given on without what was given already."""

from __future__ import annotations

from collections.abc import Sequence

from hailo_common.engine.contract import Event


class Replay:
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
