"""Owns the engine process: starts it, gives it one job at a time, kills and replaces it.

The only module that knows both asyncio and engines. It imports no inference library.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hailo_common.channel import Message
from hailo_common.daemon.context import request_id
from hailo_common.engine.contract import Event
from hailo_common.engine.job import Job, PictureHandle
from hailo_common.engine.state import EngineState, Phase
from hailo_common.errors import EngineLost, EngineTimeout, NotReady, ServiceError
from hailo_common.process import ChildExitedError, ChildProcess

log = logging.getLogger(__name__)

FIRST_DELAY_S = 0.2
LAST_DELAY_S = 30.0


@dataclass(frozen=True)
class EngineSpec:
    """How to make an engine in its own process, and how long to wait for it."""

    service: str
    factory: str
    """`package.module:function`, called in the engine process with `options`."""
    options: Mapping[str, Any]
    log_level: str = "INFO"
    load_timeout_s: float = 120.0
    request_timeout_s: float = 60.0
    beat_interval_s: float = 5.0
    beat_timeout_s: float = 10.0


class EngineGaveUpError(Exception):
    """The engine process said why it cannot go on; `kind` is the error class it met."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


class EngineSupervisor:
    """Start with `start()`, feed with `run()`, end with `close()`."""

    def __init__(self, spec: EngineSpec) -> None:
        self.spec = spec
        self.state = EngineState()
        self.on_change: Callable[[EngineState], None] | None = None
        """Called after every change of phase; returns at once."""
        self._jobs: asyncio.Queue[Job] = asyncio.Queue()
        self._current: Job | None = None
        self._child: ChildProcess | None = None
        self._settled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._delay = FIRST_DELAY_S
        self._number = 0

    def start(self) -> None:
        """Begin to load in the background; `state` tells how it goes."""
        self._task = asyncio.create_task(self._supervise(), name="engine-supervisor")

    @property
    def alive(self) -> bool:
        """False when supervision itself has died: then only a restart of the service helps."""
        return self._task is not None and not self._task.done()

    async def close(self) -> None:
        """Stop the engine, politely for two seconds; every open job gets a clean error."""
        if self._task is None:
            return
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        if self._child is not None:
            with contextlib.suppress(ChildExitedError):
                self._child.send({"stop": True})
            await self._child.wait()
            self._child = None
        self.abandon()
        self._enter("stopped", "the service is stopping")

    def abandon(self) -> None:
        """Give up what is in the engine with a clean error: the service stops and its grace is over."""
        self._fail_jobs(NotReady("The service is stopping.", code="stopping", retry_after=5))

    async def until_ready(self, timeout_s: float) -> None:
        """Return once the engine is ready; raises NotReady when it failed or `timeout_s` is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._settled.wait()
        if not self.state.ready:
            raise NotReady(f"The model is not ready: {self.state.reason}.", retry_after=5)

    async def run(
        self, request: Mapping[str, Any], pictures: Sequence[PictureHandle], *, stream: bool = False
    ) -> AsyncIterator[Event]:
        """Run one request; yields its events, a `{"result": ...}` last. Closing the iterator cancels it."""
        self._number += 1
        job = Job(request, pictures, request_id.get(), stream, self._number)
        self._jobs.put_nowait(job)
        finished = False
        try:
            while not finished:
                event = await job.events.get()
                finished = True
                if isinstance(event, ServiceError):
                    raise event
                finished = "result" in event
                yield event
        finally:
            if not finished:
                self._cancel(job)

    def _cancel(self, job: Job) -> None:
        job.cancelled = True
        if job is self._current and self._child is not None:
            with contextlib.suppress(ChildExitedError):
                self._child.send({"cancel": job.number})

    async def _supervise(self) -> None:
        while True:
            reason, kind = await self._live_once()
            if reason != self.state.last_exit or not kind:
                log.warning("engine stopped: %s", reason, extra={"fields": {"EVT": "engine_stopped"}})
            self.state.restarts += 1
            self.state.failures += 1
            self.state.last_exit = reason
            permanent = kind == "ModelError"
            self._enter("failed" if permanent else "restarting", reason, kind)
            self._fail_jobs(EngineLost("The engine stopped while it worked on this request.", retry_after=1))
            if permanent:
                await asyncio.Event().wait()
            await asyncio.sleep(self._delay)
            self._delay = min(self._delay * 2, LAST_DELAY_S)

    async def _live_once(self) -> tuple[str, str]:
        """One engine process from start to end; returns why it ended and the error's kind."""
        child = self._child = ChildProcess.spawn("hailo_common.engine.child")
        self.state.pid = child.pid
        try:
            await self._load(child)
            await self._serve(child)
        except EngineGaveUpError as error:
            await child.wait()
            return str(error), error.kind
        except ChildExitedError:
            pass
        reason = await child.wait()
        return f"the engine process ended: {reason}", ""

    async def _load(self, child: ChildProcess) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        spec = self.spec
        cause = f"the model did not load within {spec.load_timeout_s:g} s"
        deadline = loop.call_later(spec.load_timeout_s, child.kill, cause)
        try:
            child.send(
                {
                    "service": spec.service,
                    "log_level": spec.log_level,
                    "factory": spec.factory,
                    "options": dict(spec.options),
                }
            )
            message, _ = await child.receive()
        finally:
            deadline.cancel()
        if "load_failed" in message:
            raise EngineGaveUpError(message["load_failed"]["kind"], message["load_failed"]["reason"])
        self.state.info = message["loaded"]
        self.state.load_seconds = loop.time() - started
        self._enter("ready", "")
        log.info("model loaded", extra={"fields": {"LOAD_TIME_MS": round(self.state.load_seconds * 1000)}})

    async def _serve(self, child: ChildProcess) -> None:
        while True:
            job = await self._next_job(child)
            if job is None:
                await self._beat(child)
            elif not job.cancelled:
                self._current = job
                await self._work(child, job)
                self._current = None

    async def _next_job(self, child: ChildProcess) -> Job | None:
        """The next job; None when it is time to see whether the idle child is alive."""
        if not self._jobs.empty():
            return self._jobs.get_nowait()
        getting = asyncio.ensure_future(self._jobs.get())
        ending = asyncio.ensure_future(child.activity())
        try:
            await asyncio.wait(
                (getting, ending), timeout=self.spec.beat_interval_s, return_when=asyncio.FIRST_COMPLETED
            )
            return getting.result() if getting.done() else None
        finally:
            getting.cancel()
            ending.cancel()

    async def _beat(self, child: ChildProcess) -> None:
        cause = f"it gave no sign of life for {self.spec.beat_timeout_s:g} s"
        deadline = asyncio.get_running_loop().call_later(self.spec.beat_timeout_s, child.kill, cause)
        try:
            child.send({"ping": True})
            while "pong" not in (await child.receive())[0]:
                pass
        finally:
            deadline.cancel()

    async def _work(self, child: ChildProcess, job: Job) -> None:
        timeout = self.spec.request_timeout_s
        deadline = asyncio.get_running_loop().call_later(timeout, self._overdue, child, job)
        try:
            child.send(job.to_message(), [picture.fd for picture in job.pictures])
            message, _ = await child.receive()
            while not job.take(message):
                message, _ = await child.receive()
            self._see_device(message)
            self._delay, self.state.failures = FIRST_DELAY_S, 0
        finally:
            deadline.cancel()

    def _see_device(self, message: Message) -> None:
        """An engine that lost its device ends by itself; nothing more may be sent to it."""
        error = message.get("error", {})
        if error.get("kind") == "DeviceLost":
            self._enter("restarting", error["message"], "DeviceLost")
            raise EngineGaveUpError("DeviceLost", error["message"])

    def _overdue(self, child: ChildProcess, job: Job) -> None:
        timeout = self.spec.request_timeout_s
        self.state.note_timeout()
        job.fail(EngineTimeout(f"The model did not answer within {timeout:g} s.", retry_after=5))
        self._enter("restarting", f"a request outlasted its deadline of {timeout:g} s")
        child.kill(self.state.reason)

    def _fail_jobs(self, error: ServiceError) -> None:
        """End what this engine had: requests that wait in the lane are not here and see the next one."""
        if self._current is not None:
            self._current.fail(error)
            self._current = None
        while not self._jobs.empty():
            self._jobs.get_nowait().fail(error)

    def _enter(self, phase: Phase, reason: str, kind: str = "") -> None:
        self.state.phase, self.state.reason, self.state.kind = phase, reason, kind
        if phase in ("ready", "failed", "stopped"):
            self._settled.set()
        else:
            self._settled.clear()
        if self.on_change is not None:
            self.on_change(self.state)
