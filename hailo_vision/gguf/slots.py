"""Conversations in the key-value memory: which one goes on where, and what a new one may use again.

A slot keeps what was read until somebody else needs the place, so that a follow-up reads only what is new. It
belongs to one owner: no other's prompt is ever compared with it, so that nobody learns from a count or a time
what another asked.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from hailo_vision.gguf.model import LanguageModel
from hailo_vision.gguf.prompt import Prompt


@dataclass(eq=False)
class Slot:
    """One conversation's place; `cells` and `positions` as `Prompt` has them, for what was really read."""

    number: int
    owner: str = ""
    cells: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    busy: bool = False
    used: int = 0

    def common(self, prompt: Prompt) -> int:
        """How many cells the prompt may use again: whole parts of images, and not its last cell."""
        length = min(len(self.cells), prompt.length - 1)
        mine = np.array(self.cells[:length], np.int64)
        differing = np.flatnonzero(mine != prompt.cells[:length])
        return whole_parts(prompt, int(differing[0]) if differing.size else length)

    def add(self, cells: Iterable[int], positions: Iterable[int]) -> None:
        """Note what was read."""
        self.cells += cells
        self.positions += positions


def whole_parts(prompt: Prompt, length: int) -> int:
    """The same length, or less where it would cut through a part of an image."""
    for run in prompt.runs:
        if run.start < length < run.start + run.shape.count:
            return run.start
    return length


class Slots:
    """All slots of one model."""

    def __init__(self, model: LanguageModel, count: int, *, keeps: bool) -> None:
        """`keeps` False starts every conversation anew."""
        self._model = model
        self._keeps = keeps
        self._slots = [Slot(number) for number in range(count)]
        self._clock = 0

    def take(self, owner: str, prompt: Prompt) -> Slot:
        """A slot that holds as much of the prompt as is known; the caller sees that one is free.

        A conversation that would lose something is copied to the place that was not used for longest.
        """
        self._clock += 1
        own = [slot for slot in self._slots if self._keeps and slot.owner == owner]
        known = {slot: slot.common(prompt) for slot in own}
        best = max(own, key=known.__getitem__, default=None)
        shared = known[best] if best is not None else 0
        if best is not None and shared == len(best.cells) and not best.busy:
            slot = best
        else:
            slot = min((slot for slot in self._slots if not slot.busy), key=lambda slot: slot.used)
            shared = self._copied(best, slot, shared) if best is not None else 0
        slot.owner, slot.busy, slot.used = owner, True, self._clock
        self._cut(slot, shared)
        return slot

    def leave(self, slot: Slot) -> None:
        """Give it back with what it holds."""
        slot.busy = False
        self._clock += 1
        slot.used = self._clock

    def clear(self) -> None:
        """Forget everything, and give every slot back."""
        for slot in self._slots:
            self._model.forget(slot.number, -1)
            slot.cells, slot.positions, slot.busy = [], [], False

    def _copied(self, source: Slot, target: Slot, shared: int) -> int:
        """Copy what two conversations begin with; returns how much of it is there."""
        if source is target or not shared:
            return shared
        self._model.forget(target.number, -1)
        self._model.copy(source.number, target.number)
        target.cells, target.positions = list(source.cells), list(source.positions)
        return shared

    def _cut(self, slot: Slot, length: int) -> None:
        # Models with a recurrent part cannot go back: they begin again.
        if 0 < length < len(slot.cells) and not self._model.forget(slot.number, slot.positions[length]):
            length = 0
        if not length:
            self._model.forget(slot.number, -1)
        del slot.cells[length:], slot.positions[length:]
