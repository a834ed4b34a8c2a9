"""Steps of the model for all requests together: each that writes gets one token, one that reads a piece."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from time import perf_counter

import numpy as np

from hailo_common.engine.contract import EngineStarted, Event
from hailo_vision.gguf.encoder import ImageEncoder
from hailo_vision.gguf.model import LanguageModel, Rows
from hailo_vision.gguf.slots import Slots
from hailo_vision.gguf.turns import Turn

_WAIT_S = 0.1
_ALONE = 1.0, 64
_BESIDE = 0.25, 16
"""Seconds that a piece of a prompt should take, and its fewest rows: a step cannot be stopped, and others
write meanwhile; but the fewer rows, the dearer is each."""
_SMOOTHING = 0.3

Told = tuple[int, "Event | Exception"]


class Batching:
    """Requests at work, by number; see `hailo_common.engine.contract.ConcurrentEngine.advance`."""

    def __init__(
        self, model: LanguageModel, encoder: ImageEncoder | None, slots: Slots, *, most_rows: int
    ) -> None:
        self._model, self._encoder, self._slots = model, encoder, slots
        self._most_rows = most_rows
        self._turns: dict[int, Turn] = {}
        self._readers: deque[int] = deque()
        self._news: list[Told] = []
        self._rate = 0.0  # rows of prompts in a second

    def add(self, number: int, turn: Turn, owner: str) -> None:
        """Begin a request."""
        self._turns[number] = turn
        self._readers.append(number)
        self._news.append((number, turn.started()))
        if self._encoder is not None:
            turn.see(self._encoder, owner)

    def drop(self, number: int) -> None:
        """Give up a request, or end one that is done; what it has read stays in its slot."""
        turn = self._turns.pop(number, None)
        if turn is None:
            return
        if number in self._readers:
            self._readers.remove(number)
        if self._encoder is not None:
            others = [future for other in self._turns.values() for future in other.awaited]
            self._encoder.abandon([future for future in turn.awaited if future not in others])
        self._slots.leave(turn.slot)
        self._news = [told for told in self._news if told[0] != number]

    def advance(self) -> Sequence[Told]:
        """One step for all, and what came of it."""
        self._collect()
        news, self._news = self._news, []
        if news:
            return self._ended(news)
        try:
            return self._ended(self._step())
        except Exception:
            # What the memory holds after a step that failed is not known.
            self._slots.clear()
            self._turns.clear()
            self._readers.clear()
            raise

    def _collect(self) -> None:
        """Images that are done."""
        if self._encoder is None:
            return
        self._encoder.settle()
        for number, turn in self._turns.items():
            try:
                self._news += [(number, "")] * turn.seen()
            except Exception as error:
                self._news.append((number, error))

    def _step(self) -> list[Told]:
        writers = [number for number, turn in self._turns.items() if not turn.reading]
        parts = [(number, rows) for number in writers if (rows := self._turns[number].rows(1)) is not None]
        reader = self._next_reader(self._piece(beside=bool(writers)))
        if reader is not None and reader[1].embeddings is not None:
            return self._read([reader]) + (self._read(parts) if parts else [])
        if reader is not None:
            parts.append(reader)
        if parts:
            return self._read(parts)
        if self._encoder is not None:
            self._encoder.wait(_WAIT_S)
        return []

    def _next_reader(self, most: int) -> tuple[int, Rows] | None:
        """The next prompt that can go on, and its rows; those that wait for an image are passed over."""
        for _ in range(len(self._readers)):
            number = self._readers[0]
            turn = self._turns[number]
            if not turn.reading:
                self._readers.popleft()
                continue
            self._readers.rotate(-1)
            if (rows := turn.rows(most)) is not None:
                return number, rows
        return None

    def _piece(self, *, beside: bool) -> int:
        seconds, least = _BESIDE if beside else _ALONE
        wanted = int(self._rate * seconds) // least * least
        return min(self._most_rows - len(self._turns), max(least, wanted))

    def _read(self, parts: list[tuple[int, Rows]]) -> list[Told]:
        """Have the model read rows of several requests; what each has to tell."""
        began = perf_counter()
        batch = joined([rows for _, rows in parts])
        self._model.step(batch)
        seconds = perf_counter() - began
        self._note_rate(batch, seconds)
        told: list[Told] = []
        end = 0
        for number, rows in parts:
            end += rows.slots.size
            logits = self._model.scores(end - 1) if rows.scored[-1] else None
            try:
                told += ((number, event) for event in self._turns[number].took(rows, logits, seconds))
            except Exception as error:
                told.append((number, error))
        return told

    def _note_rate(self, batch: Rows, seconds: float) -> None:
        if batch.slots.size >= _BESIDE[1]:
            rate = batch.slots.size / seconds
            self._rate += _SMOOTHING * (rate - self._rate) if self._rate else rate

    def _ended(self, told: list[Told]) -> list[Told]:
        """Let go of those whose last event this is."""
        for number, event in told:
            if not isinstance(event, (str, EngineStarted)):
                self.drop(number)
        return told


def joined(parts: Sequence[Rows]) -> Rows:
    """Rows of several requests one after the other; only tokens can be joined."""
    if len(parts) == 1:
        return parts[0]
    return Rows(
        positions=np.concatenate([part.positions for part in parts]),
        slots=np.concatenate([part.slots for part in parts]),
        scored=np.concatenate([part.scored for part in parts]),
        tokens=np.concatenate([part.tokens for part in parts if part.tokens is not None]),
    )
