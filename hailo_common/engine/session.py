"""One engine process from spawn to end: load, one job at a time, signs of life. Every wait has a deadline."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from hailo_common.engine.contract import EngineInfo
from hailo_common.engine.job import Job
from hailo_common.ipc.child_process import EXIT_GRACE_S, ChildExitedError, ChildProcess, start_child
from hailo_common.ipc.messages import Message, send_message

MODULE = "hailo_common.engine.child"
MOST_GRACE_S = 15.0
"""The longest time that an engine which is told to stop has for its step and its device's release."""
ANSWER_BYTES = 8 * 1024 * 1024
"""Longest message of an engine: an answer of 32,768 tokens, the most that can be asked for, escaped."""


class EngineSettings(Protocol):
    """What an operator sets for every engine; `CommonSettings` has it."""

    PREPARE: ClassVar[str]

    @property
    def log_level(self) -> str: ...
    @property
    def load_timeout_s(self) -> float: ...
    @property
    def request_timeout_s(self) -> float: ...
    @property
    def keep_alive_s(self) -> float: ...
    def engine_options(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class EngineSpec:
    """How to make an engine in its own process, and how long to wait for it."""

    service: str
    factory: str
    """`package.module:function`, called in the engine process with `options`."""
    options: Mapping[str, Any]
    log_level: str
    load_timeout_s: float
    request_timeout_s: float
    keep_alive_s: float
    """An engine that was idle for so long is ended, and made again for the next request; 0 keeps it."""
    prepare: str = ""
    """`package.module:function`, called in the engine process with `options` before it gives up its rights;
    returns a `Prepared`. It must load no library that starts a thread."""
    beat_interval_s: float = 5.0
    beat_timeout_s: float = 30.0
    """How long an idle engine may say nothing: well over the 10 s that HailoRT itself gives a request."""
    vitals_timeout_s: float = 60.0
    """How long its device's readings may take: several such requests. More is a library that hangs."""

    @classmethod
    def of(cls, service: str, settings: EngineSettings, *, factory: str, model_dir: str) -> EngineSpec:
        """The engine of a service: its model's folder, and the keys that are marked for the engine."""
        return cls(
            service=service,
            factory=factory,
            options={**settings.engine_options(), "model_dir": model_dir},
            log_level=settings.log_level,
            load_timeout_s=settings.load_timeout_s,
            request_timeout_s=settings.request_timeout_s,
            keep_alive_s=settings.keep_alive_s,
            prepare=settings.PREPARE,
        )

    def start_message(self) -> Message:
        """What the engine process must know first."""
        return {
            "service": self.service,
            "log_level": self.log_level,
            "factory": self.factory,
            "options": dict(self.options),
            "prepare": self.prepare,
        }


class StartedEngine:
    """An engine process that loads already, while its parent still imports what serves HTTP."""

    def __init__(self, spec: EngineSpec) -> None:
        self.spec = spec
        self.popen, self.sock = start_child(MODULE)
        # Who waits for a child that is gone already is told so; the supervisor must not die of it.
        with contextlib.suppress(OSError):
            send_message(self.sock, spec.start_message())

    def kill(self) -> None:
        """End it: there will be no service."""
        self.popen.kill()
        self.popen.wait()
        self.sock.close()


class EngineGaveUpError(Exception):
    """The engine process said why it cannot go on; `kind` is the error class it met, `code` its slug."""

    def __init__(self, kind: str, reason: str, code: str = "") -> None:
        super().__init__(reason)
        self.kind = kind
        self.code = code


def lost_device(message: Message) -> EngineGaveUpError | None:
    """What an engine says that found its device lost: it ends by itself, and must be sent nothing more."""
    error = message.get("error", {})
    if error.get("kind") != "DeviceLost":
        return None
    return EngineGaveUpError("DeviceLost", error["message"], error["code"])


class EngineSession:
    """The parent's side of one engine process. Its methods raise ChildExitedError when it ends."""

    def __init__(self, started: StartedEngine) -> None:
        self.spec = started.spec
        self._child = ChildProcess(started.popen, started.sock, most_bytes=ANSWER_BYTES)
        self._given: set[int] = set()
        self._slowest_s = 0.0

    @property
    def pid(self) -> int:
        """The engine's process id."""
        return self._child.pid

    async def load(self) -> EngineInfo:
        """What the engine says of itself once it is loaded; raises EngineGaveUpError with its reason."""
        spec = self.spec
        with self._deadline(spec.load_timeout_s, f"the model did not load within {spec.load_timeout_s:g} s"):
            message, _ = await self._child.receive()
        try:
            failed = message.get("load_failed")
            if failed is None:
                return EngineInfo.from_json(message["loaded"])
            gave_up = EngineGaveUpError(*(str(failed[key]) for key in ("kind", "reason", "code")))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._child.refuse(error) from error
        raise gave_up

    def send(self, job: Job) -> None:
        """Give the engine a job, beside those that it has."""
        self._child.send(job.to_message(), [image.fd for image in job.images])
        self._given.add(job.number)

    async def messages(self, take: Callable[[Message], bool]) -> Message:
        """Give each message to `take` as it comes, until it returns True; returns that message.

        Deadlines are the caller's: it must be able to fail its jobs before the process is reaped.
        """

        def noted(message: Message) -> bool:
            self._note(message)
            return take(message)

        return await self._child.receive_until(noted)

    def _note(self, message: Message) -> None:
        """What the engine is still at, and the longest step that it took."""
        if {"result", "error", "cancelled"} & message.keys():
            self._given.discard(message.get("job", 0))
        step = message.get("slowest_s", 0.0)
        if isinstance(step, int | float) and step > self._slowest_s:
            self._slowest_s = float(step)

    @property
    def grace_s(self) -> float:
        """How long the engine may take to end: its device is only given back between two steps."""
        if self._given and not self._slowest_s:
            return MOST_GRACE_S
        return min(EXIT_GRACE_S + 1.5 * self._slowest_s, MOST_GRACE_S)

    async def beat(self) -> dict[str, Any]:
        """Ask the idle engine for a sign of life and its vitals; it is killed when none comes.

        A reading may be slow without anything being wrong, so that it has a longer deadline of its own.
        Raises EngineGaveUpError when it finds the device lost.
        """
        spec = self.spec
        self._child.send({"ping": True})
        self._child.send({"read": True})
        await self._told("pong", spec.beat_timeout_s, "it gave no sign of life for")
        vitals = await self._told("vitals", spec.vitals_timeout_s, "its device was not read within")
        if not isinstance(vitals, dict):
            raise self._child.refuse(TypeError("vitals"))
        return vitals

    async def _told(self, answer: str, seconds: float, cause: str) -> Any:
        with self._deadline(seconds, f"{cause} {seconds:g} s"):
            message: Message = {}
            while answer not in message:
                message, _ = await self._child.receive()
                if lost := lost_device(message):
                    raise lost
        self._note(message)
        return message[answer]

    async def activity(self) -> None:
        """Return when the idle engine says something or ends."""
        await self._child.activity()

    def cancel(self, job: Job) -> None:
        """Ask the engine to stop a job at the next token."""
        with contextlib.suppress(ChildExitedError):
            self._child.send({"cancel": job.number})

    def kill(self, cause: str) -> None:
        """End the process at once; `cause` becomes the reason."""
        self._child.kill(cause)

    async def end(self) -> str:
        """Let the engine release its device for `grace_s`, then kill it; returns how it ended."""
        with contextlib.suppress(ChildExitedError):
            self._child.send({"stop": True})
        return await self._child.wait(self.grace_s)

    @contextlib.contextmanager
    def _deadline(self, seconds: float, cause: str) -> Iterator[None]:
        timer = asyncio.get_running_loop().call_later(seconds, self._child.kill, cause)
        try:
            yield
        finally:
            timer.cancel()
