"""What the parent knows of its engine: phase, reason, counts. Plain values, safe to show in `/health`."""

from __future__ import annotations

import collections
import time
from dataclasses import dataclass, field
from typing import Any, Literal

from hailo_common.engine.contract import EngineInfo
from hailo_common.errors import NotReady

Phase = Literal["loading", "ready", "unloaded", "restarting", "failed", "stopped"]

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
    load_seconds: float = 0.0
    on_demand: bool = False
    """True from the model's being unloaded for idleness until it is loaded again."""
    timeouts: collections.deque[float] = field(
        default_factory=lambda: collections.deque(maxlen=STUCK_TIMEOUTS)
    )

    @property
    def ready(self) -> bool:
        """True while the engine can take a request."""
        return self.phase == "ready"

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

    def not_ready(self) -> NotReady:
        """What a request is told while the engine cannot take it; a lost device has a code of its own."""
        return NotReady(f"The model is not ready: {self.reason}.", code=self.code or None, retry_after=5)

    def note_end(self, reason: str) -> None:
        """Count an end of the engine process."""
        self.restarts += 1
        self.failures += 1
        self.last_exit = reason

    def note_timeout(self) -> None:
        """Count a request that outlasted its deadline."""
        self.timeouts.append(time.monotonic())
