"""What a supervisor knows of its engine, and what it asks before it loads one."""

from __future__ import annotations

import collections
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from hailo_common.engine.contract import EngineInfo
from hailo_common.errors import NotReady

Phase = Literal["loading", "ready", "unloaded", "restarting", "failed", "stopped"]

NO_PLACE = ("ModelTooLarge", "NoRoom")
"""Kinds of failure without an engine process: the model was not given a `Place`."""
SILENT_S = 12.0
"""Four signs of life of `hailo_common.engine.pulse`; a step of HailoRT may hold them up for some seconds."""
STUCK_TIMEOUTS = 3
STUCK_WINDOW_S = 600.0


@dataclass
class EngineState:
    """Written by the supervisor only."""

    phase: Phase = "loading"
    reason: str = "the model is loading"
    kind: str = ""
    code: str = ""
    """The slug of a reason that has one, such as `device_busy`."""
    info: EngineInfo | None = None
    """What the engine last said of itself; None until it was loaded once."""
    pid: int | None = None
    restarts: int = 0
    failures: int = 0
    """Ends of the engine in a row without an answer between them."""
    last_exit: str = ""
    device_losses: int = 0
    """Times the device was lost or could not be opened."""
    vitals: dict[str, Any] = field(default_factory=dict)
    """Last readings, see `hailo_common.engine.contract.HasVitals`; empty while no engine runs."""
    retry_after: int = 5
    """Seconds after which a request that met no model may come again."""
    origin: dict[str, Any] = field(default_factory=dict)
    """Where the model comes from, as the service's owner tells; shown to operators."""
    load_seconds: float = 0.0
    """Seconds that the last load took; 0 before the first."""
    loading_since: float | None = None
    """When the load that goes on began, of the monotonic clock."""
    loaded_at: float = 0.0
    """When the last load ended, of the monotonic clock."""
    on_demand: bool = False
    """True from the model's being unloaded for idleness until it is loaded again."""
    last_error: str = ""
    """Why the engine ended, until the model is loaded again."""
    heard_at: float = math.inf
    """When the engine last said anything, of the monotonic clock; infinity while it has no request."""
    damaged: Mapping[str, str] = field(default_factory=dict)
    """Files of the model that are not what arrived, a text about each by path, until it is loaded again."""
    damages: int = 0
    """Files that were found damaged."""
    timeouts: collections.deque[float] = field(
        default_factory=lambda: collections.deque(maxlen=STUCK_TIMEOUTS)
    )

    @property
    def parallel(self) -> int:
        """Requests that the engine works on at once."""
        return 1 if self.info is None else self.info.parallel

    @property
    def ready(self) -> bool:
        """True while the engine can take a request."""
        return self.phase == "ready"

    @property
    def silent_s(self) -> float:
        """Seconds since the engine at work said anything, once it seems to hang; else 0."""
        silent = time.monotonic() - self.heard_at
        return silent if silent > SILENT_S else 0.0

    @property
    def admits(self) -> bool:
        """True while a request is taken, though it may have to wait until the model is loaded again."""
        return self.ready or self.idle

    @property
    def idle(self) -> bool:
        """True while the model is away because nobody needed it, or on its way back."""
        return self.on_demand and self.phase in ("unloaded", "loading")

    @property
    def stuck(self) -> bool:
        """True after three requests in ten minutes outlasted their deadline: the device hangs."""
        full = len(self.timeouts) == STUCK_TIMEOUTS
        return full and time.monotonic() - self.timeouts[0] < STUCK_WINDOW_S

    def load_wait(self, since: float, until: float) -> float:
        """How many of the seconds from `since` to `until`, of the monotonic clock, the last load took."""
        began, ended = self.loaded_at - self.load_seconds, self.loaded_at
        return max(0.0, min(ended, until) - max(began, since))

    def loaded_info(self) -> EngineInfo:
        """What the engine says of itself; raises NotReady before it was ever loaded."""
        if self.info is None:
            raise NotReady(f"The model is not ready: {self.reason}.", retry_after=self.retry_after)
        return self.info

    def not_ready(self, reason: str = "") -> NotReady:
        """What a request is told while the engine cannot take it; a lost device has a code of its own."""
        reason = self.reason or reason
        text = f"The model is not ready: {reason}."
        return NotReady(text, code=self.code or None, retry_after=self.retry_after)

    def note_end(self, reason: str) -> None:
        """Count an end of the engine process."""
        self.restarts += 1
        self.failures += 1
        self.last_exit = reason

    def note_work(self, at_work: bool) -> None:
        """The engine was given something or said something; is there more to come of it?"""
        self.heard_at = time.monotonic() if at_work else math.inf

    def note_timeout(self) -> None:
        """Count a request that outlasted its deadline."""
        self.timeouts.append(time.monotonic())


class Place(Protocol):
    """What a model needs to be loaded and others may want, too: memory, the chip's place for a model."""

    @property
    def wait_s(self) -> float:
        """The longest time that `take` waits."""
        ...

    async def take(self, wanted: Callable[[], bool]) -> bool:
        """Return True when the model may be loaded, False when it has no place and nobody wants it.

        Raises EngineGaveUpError when it cannot have a place, or not in time.
        """
        ...

    def give_back(self) -> None:
        """The engine is gone, or never came. May be called without `take`."""
        ...


class OwnPlace:
    """The place of a model that shares with no other."""

    wait_s = 0.0

    async def take(self, wanted: Callable[[], bool]) -> bool:  # noqa: ARG002
        """See `Place.take`."""
        return True

    def give_back(self) -> None:
        """See `Place.give_back`."""
