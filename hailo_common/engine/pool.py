"""The models of one service, each with a supervisor and a queue of its own, loaded on demand.

A service of one model has a pool of one: nothing is shared then, and its queue is all there is.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from hailo_common.engine.place import Places, SharedPlace
from hailo_common.engine.request_queue import RequestQueue
from hailo_common.engine.state import EngineState
from hailo_common.engine.supervisor import EngineSupervisor
from hailo_common.errors import Busy, stopping

log = logging.getLogger(__name__)

ModelState = Literal["loaded", "loading", "not loaded", "failed"]
CHIP = "NPU"
"""What the name of a stage's backend contains when it runs on the Hailo chip."""


@dataclass(eq=False)
class ServedModel:
    """One model of a service. `name` is the operator's; empty where a service has one and takes its own."""

    name: str
    engine: EngineSupervisor
    queue: RequestQueue
    place: SharedPlace | None = None
    keep_s: float | None = None
    """Seconds that it stays loaded after its last request: 0 is none, None the engine's own."""
    loads: int = 0
    unloads: int = 0
    loaded: bool = False
    """As it was when its phase last changed."""
    _timer: asyncio.TimerHandle | None = None

    @property
    def state(self) -> ModelState:
        """In a word, for clients and operators."""
        state = self.engine.state
        if state.ready:
            return "loaded"
        missing = state.phase == "loading" and state.kind == "ModelMissing"
        if state.phase in ("failed", "restarting", "stopped") or state.last_error or missing:
            return "failed"
        return "loading" if state.phase == "loading" else "not loaded"

    @property
    def reason(self) -> str:
        """Why it is not loaded; empty when it is."""
        return self.engine.state.last_error or self.engine.state.reason

    def report(self) -> dict[str, Any]:
        """As `/health` shows it."""
        state, held = self.engine.state, self.place.held if self.place else None
        row: dict[str, Any] = {
            "name": self.name or (state.info.model if state.info else None),
            "model": state.info.model if state.info else None,
            "state": self.state,
            "reason": self.reason or None,
            "running": self.queue.running,
            "waiting": self.queue.waiting,
            "loads": self.loads,
            "unloads": self.unloads,
            "load_seconds": round(state.load_seconds, 3),
        }
        if self.keep_s is not None:
            row["keep_alive_s"] = -1 if math.isinf(self.keep_s) else self.keep_s
        return row | ({"memory_mb": round(held / 1e6, 1)} if held else {})

    def touch(self, change: int) -> None:
        """A request came (1) or left (-1)."""
        if self.place is not None:
            self.place.used_at = time.monotonic()
            self.place.requests += change
            self.place.answered |= change < 0


class EnginePool:
    """All models of a service, the first one its default. Start with `start()`, end with `close()`.

    `memory_of` measures the engine process of a pid, in bytes.
    """

    def __init__(
        self,
        models: Sequence[ServedModel],
        places: Places | None = None,
        memory_of: Callable[[int], int] = lambda _pid: 0,
    ) -> None:
        self.models = tuple(models)
        self.places = places
        self.on_change: Callable[[ServedModel], None] | None = None
        """Called after every change of a model's phase; returns at once."""
        self._memory_of = memory_of
        self._requests: dict[ServedModel, int] = dict.fromkeys(self.models, 0)
        self._settled = False
        for each in self.models:
            self._watch(each)

    def _watch(self, model: ServedModel) -> None:
        model.engine.on_change = lambda state: self._changed(model, state)
        model.queue.load_ahead = lambda: self.load_ahead_s(model) if self.several else 0.0
        if model.place is not None:
            model.place.unload = model.engine.unload

    @property
    def default(self) -> ServedModel:
        """The model of requests that name none."""
        return self.models[0]

    @property
    def several(self) -> bool:
        """Whether models share this service."""
        return len(self.models) > 1

    @property
    def shown(self) -> ServedModel:
        """The model that reports about one show: the loaded one that was used last, else the default."""
        loaded = [each for each in self.models if each.engine.state.ready and each.place]
        return max(loaded, key=lambda each: each.place.used_at if each.place else 0.0, default=self.default)

    def start(self) -> None:
        """Load the default model in the background, unless none is kept; the others wait for a request."""
        for each in self.models:
            each.engine.start(load=not self.several or (each is self.default and each.keep_s != 0))

    @property
    def alive(self) -> bool:
        """False when the supervision of a model has died: then only a restart of the service helps."""
        return all(each.engine.alive for each in self.models)

    async def close(self) -> None:
        """Stop all engines; every open job gets a clean error."""
        for each in self.models:
            self._stop_timer(each)
        await asyncio.gather(*(each.engine.close() for each in self.models))

    def stop(self) -> None:
        """Refuse new requests; those admitted go on."""
        for each in self.models:
            each.queue.stop()

    def abandon(self) -> None:
        """Give those admitted a clean error, too: the grace is over."""
        for each in self.models:
            each.queue.abandon()

    @property
    def stopping(self) -> bool:
        """True once new requests are refused."""
        return self.default.queue.stopping

    @property
    def admits(self) -> bool:
        """Whether a model can take a request, though it may have to be loaded for it.

        False until the first load after the start has ended, one way or the other.
        """
        return self._settled and any(each.engine.state.admits for each in self.models)

    @property
    def running(self) -> int:
        """Requests in the engines."""
        return sum(each.queue.running for each in self.models)

    @property
    def waiting(self) -> int:
        """Requests that were admitted and are in no engine."""
        return sum(each.queue.waiting for each in self.models)

    @property
    def size(self) -> int:
        """Requests that may wait."""
        return sum(each.queue.size for each in self.models)

    @property
    def interrupted(self) -> int:
        """Requests that had to give way and ran again."""
        return sum(each.queue.interrupted for each in self.models)

    def check(self) -> None:
        """Raise NotReady or Busy where no model would take a request, before its body and its name are
        read.
        """
        if not self.several:
            self.default.queue.check()
            return
        if self.stopping:
            raise stopping()
        if all(each.queue.full for each in self.models):
            retry_after = min(each.queue.retry_after for each in self.models)
            raise Busy(f"The queues of {self.size} in all are full.", retry_after=retry_after)

    @contextmanager
    def enter(self, model: ServedModel) -> Iterator[None]:
        """Take a place in the queue of the model, once the body is there. Raises NotReady or Busy at once."""
        with self._counted(model), model.queue.admit():
            yield

    @contextmanager
    def _counted(self, model: ServedModel) -> Iterator[None]:
        self._stop_timer(model)
        self._requests[model] += 1
        model.touch(1)
        try:
            yield
        finally:
            self._requests[model] -= 1
            model.touch(-1)
            self._left(model)

    def _left(self, model: ServedModel) -> None:
        """A request is over: look what the model takes now, and count the time until it is unloaded."""
        if self.places is not None and model.place is not None and model.engine.state.ready:
            self._measure(model, loaded=False)
            self.places.trim(model.place)
        if self.places is not None:
            self.places.changed()
        if not self._requests[model]:
            self._keep(model)

    def keep(self, model: ServedModel, seconds: float) -> None:
        """Ollama's `keep_alive`: from now on the model stays so long after its last request.

        0 unloads it as soon as it has no request, infinity keeps it.
        """
        model.keep_s = seconds
        self._stop_timer(model)
        if not self._requests[model]:
            self._keep(model)

    def _keep(self, model: ServedModel) -> None:
        seconds = model.keep_s
        if seconds is None or math.isinf(seconds) or not model.engine.state.ready:
            return
        why = f"it was idle for {seconds:g} s; the next request loads it"
        if seconds <= 0:
            model.engine.unload(why)
        else:
            loop = asyncio.get_running_loop()
            model._timer = loop.call_later(seconds, model.engine.unload, why)

    def _stop_timer(self, model: ServedModel) -> None:
        timer, model._timer = model._timer, None
        if timer is not None:
            timer.cancel()

    def load_ahead_s(self, model: ServedModel) -> float:
        """Seconds until the model is loaded, by its last load, else the longest seen here; 0 once it is."""
        state = model.engine.state
        if state.ready:
            return 0.0
        seen = [each.engine.state.load_seconds for each in self.models]
        expected = state.load_seconds or max(seen)
        gone = 0.0 if state.loading_since is None else time.monotonic() - state.loading_since
        return max(0.0, expected - gone)

    def _changed(self, model: ServedModel, state: EngineState) -> None:
        if state.ready:
            model.loads += 1
            self._measure(model, loaded=True)
            if self.places is not None and model.place is not None:
                self.places.trim(model.place)
            if not self._requests[model]:
                self._keep(model)
        else:
            model.unloads += model.loaded and state.phase == "unloaded"
            self._stop_timer(model)
        model.loaded = state.ready
        self._settled |= model is self.default and state.phase != "loading"
        if self.on_change is not None:
            self.on_change(model)

    def _measure(self, model: ServedModel, *, loaded: bool) -> None:
        state = model.engine.state
        if model.place is not None and state.pid is not None and state.info is not None:
            chip = any(CHIP in stage.backend for stage in state.info.stages)
            model.place.measured(self._memory_of(state.pid), chip=chip, loaded=loaded)
