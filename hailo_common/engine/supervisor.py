"""Owns the engine process: starts it, gives it as many jobs as it takes at once, replaces it when it ends.

With `session` the only code that knows both asyncio and engines. It imports no inference library.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable, Sequence

from hailo_common.engine.contract import EngineRequest
from hailo_common.engine.job import ImageHandle, Job, OnEnd
from hailo_common.engine.judge import DAMAGED, CheckFiles, LoadJudge
from hailo_common.engine.session import (
    EngineGaveUpError,
    EngineSession,
    EngineSpec,
    StartedEngine,
    lost_device,
)
from hailo_common.engine.state import NO_PLACE, EngineState, OwnPlace, Phase, Place
from hailo_common.errors import EngineLost, EngineTimeout, Interrupted, ServiceError, stopping
from hailo_common.ipc.child_process import ChildExitedError
from hailo_common.ipc.messages import Message
from hailo_common.npu.errors import BUSY
from hailo_common.systemd.record import request_id
from hailo_common.systemd.wake import shared

log = logging.getLogger(__name__)

FIRST_DELAY_S = 0.2
LAST_DELAY_S = 30.0
CANCEL_GRACE_S = 15.0
"""How long an engine that works on others, too, may take to drop a request that is overdue."""
BUSY_DELAY_S = 10.0
"""The longest time that a device which others gave back stands free before it is taken."""


class EngineSupervisor:
    """Start with `start()`, feed with `submit()`, end with `close()`."""

    def __init__(
        self,
        spec: EngineSpec,
        started: StartedEngine | None = None,
        place: Place | None = None,
        check: CheckFiles | None = None,
    ) -> None:
        """`started` is the first engine process, of the same `spec`, where it runs already.

        With a `place` that it shares, the model is always there on demand: requests wait while it loads.
        `check` looks at the model's files before a load and after one that failed.
        """
        self.spec = spec
        self._place = place or OwnPlace()
        self._shares = place is not None
        self._started = started
        self.state = EngineState()
        self._judge = LoadJudge(self.state, check)
        self.on_change: Callable[[EngineState], None] | None = None
        """Called after every change of phase; returns at once."""
        self._jobs: asyncio.Queue[Job] = asyncio.Queue()
        self._running: dict[int, Job] = {}
        self._deadlines: dict[int, asyncio.TimerHandle] = {}
        self._session: EngineSession | None = None
        self._settled = asyncio.Event()
        self._model_here = asyncio.Event()
        self._model_here.set()
        self._replaced = asyncio.Event()
        self._lazy = False
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._getting: asyncio.Future[Job] | None = None
        self._leaving = ""
        self._waiting = 0
        self._delay = FIRST_DELAY_S
        self._loaded = False
        self._number = 0

    def start(self, *, load: bool = True) -> None:
        """Begin to load in the background, `load=False` at the first request; `state` tells how it goes."""
        self._lazy = not load
        if self._model_here.is_set():
            self.state.on_demand = self._shares or not load
            if not load:
                self._enter("unloaded", "the first request loads it")
        self._task = asyncio.create_task(self._supervise(), name="engine-supervisor")

    def hold(self, reason: str, retry_after: int, *, coming: bool) -> None:
        """There is no model, or it is `coming`: load nothing, and tell requests why, until `use`."""
        self._model_here.clear()
        self.state.reason, self.state.retry_after = reason, retry_after
        self.state.kind = "" if coming else "ModelMissing"

    def use(self, spec: EngineSpec) -> None:
        """Load the model of `spec` from now on; an engine that has another one ends."""
        held = not self._model_here.is_set()
        self.spec = spec
        self._judge.reset()
        self.state.retry_after = EngineState.retry_after
        self._replaced.set()
        if self._session is not None:
            self._session.kill("another model takes its place")
        if held:
            self.state.on_demand = self._shares or self._lazy
        if held and self._lazy:
            self._enter("unloaded", "the first request loads it")
        elif held or self._session is not None:
            self._enter("loading", EngineState.reason)
        self._model_here.set()

    @property
    def alive(self) -> bool:
        """False when supervision itself has died: then only a restart of the service helps."""
        return self._task is not None and not self._task.done()

    async def close(self) -> None:
        """Stop the engine; every open job gets a clean error."""
        if self._task is None:
            return
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        if self._session is not None:
            await self._session.end()
            self._session = None
        self.abandon()
        self._enter("stopped", "the service is stopping")

    def abandon(self) -> None:
        """Give up what is in the engine with a clean error: the service stops and its grace is over."""
        self._fail_jobs(stopping())

    async def until_ready(self, timeout_s: float) -> None:
        """Return once the engine is ready; raises NotReady when it failed or `timeout_s` is over.

        An engine that was ended for being idle is made again, and may take as long as any to load.
        """
        self._wanted.set()
        if self.state.on_demand:
            timeout_s = max(timeout_s, self.spec.load_timeout_s + self._place.wait_s)
        self._waiting += 1
        try:
            async with asyncio.timeout(timeout_s):
                await self._settled.wait()
                # It may leave again in the very turn of the loop in which it came.
                while not self._settled.is_set() and (self._leaving or self.state.idle):
                    await self._settled.wait()
        except TimeoutError:
            pass
        finally:
            self._waiting -= 1
        if not self._settled.is_set() or not self.state.ready:
            raise self.state.not_ready(self._leaving)

    def unload(self, why: str) -> None:
        """End the loaded engine in good order once it has nothing to do; the next request loads it again."""
        if self.state.ready and not self._leaving:
            self._leaving = why
            self.state.on_demand = True
            self._settled.clear()
            if self._getting is not None:
                self._getting.cancel()

    def submit(
        self, request: EngineRequest, images: Sequence[ImageHandle], *, stream: bool, on_end: OnEnd
    ) -> Job:
        """Give the engine a request; read what comes of it from the job, and end it with `cancel`.

        `on_end` is called once the engine has no more to do for it.
        """
        self._number += 1
        job = Job(request, images, request_id.get(), stream, self._number, on_end=on_end)
        self._jobs.put_nowait(job)
        self._wanted.set()
        if self._running and self._session is not None:
            self._give_more(self._session)
        return job

    def cancel(self, job: Job) -> None:
        """End a job at its next token if it is not finished. May be called twice."""
        self._cancel(job)
        job.end()

    def interrupt(self, job: Job) -> None:
        """End a job at its next token, with Interrupted: the caller may run it again."""
        self._cancel(job)
        job.fail(Interrupted("Another request went first.", retry_after=1))

    def _cancel(self, job: Job) -> None:
        if job.cancelled or job.result is not None:
            return
        job.cancelled = True
        if job.number in self._running and self._session is not None:
            self._session.cancel(job)

    async def _supervise(self) -> None:
        await self._model_here.wait()
        if self.state.phase == "unloaded":
            await self._wait_until_wanted()
        while True:
            self._replaced.clear()
            while (end := await self._live_once()) is None:
                await self._wait_until_wanted()
            if self._replaced.is_set():
                self._fail_jobs(EngineLost("Another model took the place of this one.", retry_after=5))
                continue
            reason, kind, code = await self._judge.judge(end, self.spec.options, loaded=self._loaded)
            self.state.vitals = {}
            self.state.device_losses += kind == "DeviceLost"
            if reason not in (self.state.last_exit, self.state.last_error) or not kind:
                log.warning("engine stopped: %s", reason, extra={"fields": {"EVT": "engine_stopped"}})
            if kind not in NO_PLACE and code != DAMAGED:
                self.state.note_end(reason)
            self.state.last_error = reason
            permanent = kind == "ModelError"
            self._enter("failed" if permanent else "restarting", reason, kind, code)
            self._fail_jobs(EngineLost("The engine stopped while it worked on this request.", retry_after=1))
            if kind in NO_PLACE:
                # Long enough for those that waited to be told; what comes then asks for a place anew.
                await asyncio.sleep(FIRST_DELAY_S)
                continue
            delay = min(self._delay, BUSY_DELAY_S if code == BUSY else LAST_DELAY_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if permanent else delay):
                    await self._replaced.wait()
            self._delay = min(self._delay * 2, LAST_DELAY_S)

    async def _wait_until_wanted(self) -> None:
        """The engine is gone, its place free for others; return when there is work again."""
        self.state.pid, self._session, self.state.vitals = None, None, {}
        if not self._waiting:
            await self._wanted.wait()
        self._enter("loading", "the model is loading again")

    async def _live_once(self) -> tuple[str, str, str] | None:
        """One engine process from start to end: why it ended, the error's kind and code; None when idle."""
        session: EngineSession | None = None
        try:
            if not await self._place.take(lambda: self._waiting > 0):
                self._enter_unloaded(self.state.last_error or "the next request loads it")
                return None
            if self._started is None:
                await self._judge.before(self.spec.options)
            session = self._begin()
            await self._load(session)
            self._enter_unloaded(await self._serve(session))
            await session.end()
            log.info("the idle model was unloaded", extra={"fields": {"EVT": "model_unloaded"}})
            return None
        except EngineGaveUpError as error:
            if session is not None:
                if self._loaded:
                    # It is ready for nothing while it ends.
                    self._enter("restarting", str(error), error.kind, error.code)
                await session.end()
            return str(error), error.kind, error.code
        except ChildExitedError:
            assert session is not None, "only a session has a child"
            return f"the engine process ended: {await session.end()}", "", ""
        finally:
            self._place.give_back()

    def _begin(self) -> EngineSession:
        self._leaving = ""
        session = self._session = EngineSession(self._started or StartedEngine(self.spec))
        self._started, self._loaded = None, False
        self.state.pid = session.pid
        if self._shares and self.state.phase != "loading":
            self.state.on_demand = True
            self._enter("loading", "the model is loading")
        return session

    def _enter_unloaded(self, reason: str) -> None:
        self._leaving = ""
        self.state.on_demand = True
        self._wanted.clear()
        self._enter("unloaded", reason)

    async def _load(self, session: EngineSession) -> None:
        started = self.state.loading_since = time.monotonic()
        try:
            self.state.info = await session.load()
        finally:
            self.state.loading_since = None
        self.state.loaded_at = time.monotonic()
        self.state.load_seconds = self.state.loaded_at - started
        self.state.on_demand, self._loaded = False, True
        self.state.last_error, self.state.damaged = "", {}
        self._enter("ready", "")
        log.info("model loaded", extra={"fields": {"LOAD_TIME_MS": round(self.state.load_seconds * 1000)}})

    async def _serve(self, session: EngineSession) -> str:
        """Give it jobs, until it was idle for `keep_alive_s` or is told to leave; returns why it ended."""
        loop = asyncio.get_running_loop()
        keep = self.spec.keep_alive_s or math.inf
        due, end = loop.time(), loop.time() + keep
        while not self._jobs.empty() or (loop.time() < end and not self._leaving):
            # Between requests, too: a device that is never idle gets warm all the same.
            job = None if loop.time() >= due else await self._next_job(session, min(due, end) - loop.time())
            if job is None:
                self.state.vitals = await session.beat()
                due = loop.time() + shared(self.spec.beat_interval_s)
            elif not job.cancelled:
                await self._work(session, job)
                end = loop.time() + keep
        return self._leaving or f"it was idle for {self.spec.keep_alive_s:g} s; the next request loads it"

    async def _next_job(self, session: EngineSession, seconds: float) -> Job | None:
        """The next job; None when it is time to see whether the idle engine is alive, or after `seconds`."""
        if not self._jobs.empty():
            return self._jobs.get_nowait()
        getting = self._getting = asyncio.ensure_future(self._jobs.get())
        ending = asyncio.ensure_future(session.activity())
        try:
            await asyncio.wait(
                (getting, ending), timeout=max(0.0, seconds), return_when=asyncio.FIRST_COMPLETED
            )
            return getting.result() if getting.done() and not getting.cancelled() else None
        finally:
            getting.cancel()
            ending.cancel()

    async def _work(self, session: EngineSession, job: Job) -> None:
        """Give it a job, and stay until it has none: `submit` adds others meanwhile."""
        self._give(session, job)
        self._give_more(session)
        if lost := lost_device(await session.messages(self._file)):
            raise lost
        self._delay, self.state.failures = FIRST_DELAY_S, 0

    def _give(self, session: EngineSession, job: Job) -> None:
        self._running[job.number] = job
        self.state.note_work(bool(self._running))
        seconds = self.spec.request_timeout_s
        timer = asyncio.get_running_loop().call_later(seconds, self._overdue, session, job)
        self._deadlines[job.number] = timer
        session.send(job)

    def _give_more(self, session: EngineSession) -> None:
        """Give it waiting jobs while it takes them."""
        while len(self._running) < self.state.parallel and not self._jobs.empty():
            job = self._jobs.get_nowait()
            # The engine's end is the supervising task's to see; the job fails with all others then.
            with contextlib.suppress(ChildExitedError):
                if not job.cancelled:
                    self._give(session, job)

    def _file(self, message: Message) -> bool:
        """Give a message to its job; True when there is none left, or the device is lost."""
        self.state.note_work(bool(self._running))
        job = self._running.get(message.get("job", 0))
        if job is None or not job.take(message):
            return False
        self._forget(job)
        return not self._running or message.get("error", {}).get("kind") == "DeviceLost"

    def _forget(self, job: Job) -> None:
        self._running.pop(job.number, None)
        self.state.note_work(bool(self._running))
        timer = self._deadlines.pop(job.number, None)
        if timer is not None:
            timer.cancel()

    def _overdue(self, session: EngineSession, job: Job) -> None:
        """Fail a job, and end the engine, unless it works on others and can still drop this one."""
        seconds = self.spec.request_timeout_s
        job.fail(EngineTimeout(f"The model did not answer within {seconds:g} s.", retry_after=5))
        if self.state.parallel > 1 and not job.cancelled:
            self._cancel(job)
            loop = asyncio.get_running_loop()
            self._deadlines[job.number] = loop.call_later(CANCEL_GRACE_S, self._overdue, session, job)
            return
        self.state.note_timeout()
        self._enter("restarting", f"a request outlasted its deadline of {seconds:g} s")
        session.kill(self.state.reason)

    def _fail_jobs(self, error: ServiceError) -> None:
        """End what this engine had: requests that wait in the queue are not here and see the next one."""
        for job in list(self._running.values()):
            self._forget(job)
            job.fail(error)
        while not self._jobs.empty():
            self._jobs.get_nowait().fail(error)

    def _enter(self, phase: Phase, reason: str, kind: str = "", code: str = "") -> None:
        self.state.phase, self.state.reason, self.state.kind, self.state.code = phase, reason, kind, code
        # Who waits for a model that was unloaded is told at once when it does not come back.
        vain = phase == "restarting" and self.state.on_demand
        self.state.on_demand &= not vain
        if vain or phase in ("ready", "failed", "stopped"):
            self._settled.set()
        if phase not in ("ready", "failed", "stopped"):
            self._settled.clear()
        if self.on_change is not None:
            self.on_change(self.state)
