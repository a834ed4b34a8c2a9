"""Who may be loaded: the models of one service share memory, and on the Hailo chip one place for a model.

The longest unused gives way first, and none that works on a request before it has finished it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from hailo_common.engine.session import EngineGaveUpError

_LOOK_S = 1.0
"""How often one that waits looks again whether anybody still waits for it."""
_MB = 1_000_000


@dataclass(frozen=True)
class ModelNeeds:
    """What a model will need: bytes of its engine process when it is loaded, and what its caches may add.

    `chip` says whether it takes the chip's place for a language model.
    """

    memory: int
    growth: int = 0
    chip: bool = False


@dataclass(frozen=True)
class MemoryBudget:
    """Bytes that all engines of a service may take together, and the key that says so."""

    memory: int
    origin: str


class SharedPlace:
    """One model's place among others; see `hailo_common.engine.state.Place`.

    `needs` estimates what the model needs before it was ever loaded; afterwards what was measured counts.
    """

    def __init__(self, places: Places, name: str, needs: Callable[[], ModelNeeds]) -> None:
        self.name = name
        self.used_at = 0.0
        """When a request last came or left, of the monotonic clock."""
        self.held: int | None = None
        """Bytes that are set aside for it while it is loaded or loads."""
        self.on_chip = False
        self.requests = 0
        self.loaded_at = 0.0
        """When it was last loaded, of the monotonic clock."""
        self.answered = False
        """Whether a request has ended since."""
        self.unload: Callable[[str], None] = lambda _why: None
        """Asks its engine to end once it has nothing to do; set by who owns the engine."""
        self._places = places
        self._needs = needs
        self._loaded_with = self._most = 0
        self._chip: bool | None = None

    @property
    def wait_s(self) -> float:
        """See `Place.wait_s`."""
        return self._places.wait_s

    def needs(self) -> int:
        """Bytes to set aside for it: as measured, else as estimated, with room for its caches."""
        estimate = self._needs()
        return max(self._most, (self._loaded_with or estimate.memory) + estimate.growth)

    def least(self) -> int:
        """Bytes without which it cannot be loaded."""
        return self._loaded_with or self._needs().memory

    def wants_chip(self) -> bool:
        """Whether it takes the chip's place for a language model."""
        return self._needs().chip if self._chip is None else self._chip

    def measured(self, memory: int, *, chip: bool, loaded: bool = False) -> None:
        """Note what the loaded model really takes; `loaded` is the first look, at the end of its load."""
        if loaded:
            # What an earlier life gathered in its caches is gone.
            self._loaded_with, self._most = memory, 0
            self.loaded_at, self.answered = time.monotonic(), False
        self._most, self._chip = max(self._most, memory), chip
        if self.held is not None:
            self.hold()

    def hold(self) -> None:
        """Set aside what it needs."""
        self.held, self.on_chip = self.needs(), self.wants_chip()

    async def take(self, wanted: Callable[[], bool]) -> bool:
        """See `Place.take`."""
        return await self._places.take(self, wanted)

    def give_back(self) -> None:
        """See `Place.give_back`."""
        self.held, self.on_chip = None, False
        self._places.changed()


class Places:
    """All models of a service. `budget` is asked anew every time; one of 0 bytes is no limit.

    A model that waits longer than `patience_s` for others that are busy, and were loaded for as long, gets
    its turn between two of their requests; one that waits `wait_s` in vain is refused.
    """

    def __init__(self, budget: Callable[[], MemoryBudget], *, wait_s: float, patience_s: float) -> None:
        self.budget = budget
        self.wait_s = wait_s
        self._patience_s = patience_s
        self._all: list[SharedPlace] = []
        self._waiting: list[SharedPlace] = []
        self._changed = asyncio.Event()

    def make(self, name: str, needs: Callable[[], ModelNeeds]) -> SharedPlace:
        """One more model."""
        place = SharedPlace(self, name, needs)
        self._all.append(place)
        return place

    @property
    def used(self) -> int:
        """Bytes set aside for models that are loaded or load."""
        return sum(place.held or 0 for place in self._all)

    def changed(self) -> None:
        """Let those that wait look again."""
        self._changed.set()

    async def take(self, place: SharedPlace, wanted: Callable[[], bool]) -> bool:
        """See `Place.take`. First come, first served."""
        since = time.monotonic()
        self._waiting.append(place)
        try:
            while self._lacks(place, ()) or self._waiting[0] is not place:
                waited = time.monotonic() - since
                if not wanted():
                    return False
                self._refuse_what_never_fits(place)
                if waited >= self.wait_s:
                    raise self._no_room(place)
                if self._waiting[0] is place:
                    self._make_room(place, since)
                await self._wait(min(_LOOK_S, self.wait_s - waited))
            place.hold()
            return True
        finally:
            self._waiting.remove(place)
            self.changed()

    async def _wait(self, seconds: float) -> None:
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    def _refuse_what_never_fits(self, place: SharedPlace) -> None:
        budget = self.budget()
        if 0 < budget.memory < place.least():
            reason = (
                f"it needs about {_mb(place.least())} of memory, and models may take {_mb(budget.memory)}"
                f" together ({budget.origin})"
            )
            raise EngineGaveUpError("ModelTooLarge", reason, "model_too_large")

    def _lacks(self, place: SharedPlace, without: Sequence[SharedPlace]) -> bool:
        """Whether something is missing for it, were these gone."""
        rest = [each for each in self._all if each is not place and each not in without]
        if place.wants_chip() and any(each.on_chip for each in rest):
            return True
        budget = self.budget().memory
        # A model that outgrew the budget in its last life may come back alone.
        needed = max(place.least(), min(place.needs(), budget))
        return 0 < budget < needed + sum(each.held or 0 for each in rest)

    def _make_room(self, place: SharedPlace, since: float) -> None:
        """Ask the longest unused to go, as few as are enough; one that has waited `since` needs the room."""
        candidates = [each for each in self._by_use() if each is not place and not self._keeps(each, since)]
        chip = place.wants_chip()
        leaving: list[SharedPlace] = []
        # The chip has one place: whoever holds it goes first, and is enough where memory is not short.
        for each in sorted(candidates, key=lambda each: not (chip and each.on_chip)):
            if not self._lacks(place, leaving):
                break
            leaving.append(each)
        if not self._lacks(place, leaving):
            for each in leaving:
                each.unload(f"it made room for {place.name}; the next request loads it")

    def _keeps(self, busy: SharedPlace, since: float) -> bool:
        """Whether a model with requests stays, though another has waited since then.

        Where a load takes longer than patience lasts, two models would otherwise unload each other for ever.
        """
        waited = time.monotonic() - max(since, busy.loaded_at)
        return busy.requests > 0 and (waited < self._patience_s or not busy.answered)

    def trim(self, latest: SharedPlace) -> None:
        """Unload idle models, the longest unused first, while all together take more than they may."""
        budget = self.budget()
        excess = self.used - budget.memory
        for each in self._by_use():
            if budget.memory <= 0 or excess <= 0:
                return
            if each is not latest and not each.requests and each.held:
                excess -= each.held
                each.unload(f"all models together took more than {_mb(budget.memory)} ({budget.origin})")

    def _by_use(self) -> list[SharedPlace]:
        """Those that hold something; idle ones first, then the longest unused."""
        held = [each for each in self._all if each.held]
        return sorted(held, key=lambda each: (each.requests > 0, each.used_at))

    def _no_room(self, place: SharedPlace) -> EngineGaveUpError:
        budget = self.budget()
        rest = [each for each in self._all if each.held and each is not place]
        names = ", ".join(each.name for each in rest)
        if place.wants_chip() and any(each.on_chip for each in rest):
            reason = (
                f"the chip's one place for a language model was in use for {self.wait_s:g} s (by {names})"
            )
        else:
            reason = (
                f"it needs about {_mb(place.needs())} of memory, and of {_mb(budget.memory)} for all models"
                f" ({budget.origin}) {_mb(self.used)} were in use for {self.wait_s:g} s (by {names})"
            )
        return EngineGaveUpError("NoRoom", reason, "models_busy")


def _mb(size: int) -> str:
    return f"{size / _MB:,.0f} MB"
