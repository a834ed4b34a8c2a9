"""Keeps one decoder process alive: the next one is spawned the moment the last one ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time

from hailo_common.errors import Unavailable
from hailo_common.images.limits import DECODE_FAILED, ImageLimits
from hailo_common.ipc.child_process import ChildExitedError, ChildProcess
from hailo_common.ipc.messages import PACKET_BYTES, Message, close_fds

READY_WITHIN_S = 15.0
RETRY_MAX_S = 5.0
_KEPT_ENVIRONMENT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")
# Freed pixels of a photo go back to the system at once. Those of a small image (640 x 480: 1.2 MB) stay in
# the heap: fresh pages for each one cost a third of the time that decoding it takes.
_ENVIRONMENT = {
    "LC_ALL": "C.UTF-8",
    "MALLOC_MMAP_THRESHOLD_": str(4 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(8 << 20),
    "MALLOC_ARENA_MAX": "1",
}

_log = logging.getLogger(__name__)
Answer = tuple[Message, list[int]]


class DecoderSupervisor:
    """`restarts` counts decoders after the first; `respawn_s` is how long the last one took to be ready."""

    def __init__(self, module: str, limits: ImageLimits) -> None:
        self.restarts = 0
        self.respawn_s = 0.0
        self._module = module
        self._limits = limits
        self._ready = asyncio.Event()
        self._child: ChildProcess | None = None
        self._task: asyncio.Task[None] | None = None
        self._awaited: tuple[int, asyncio.Future[Answer | None]] | None = None
        self._taken = False
        self._walls = False

    @property
    def pid(self) -> int | None:
        """The decoder's process id while it is ready."""
        return self._child.pid if self._child and self._ready.is_set() else None

    @property
    def busy(self) -> bool:
        """True while the decoder works on an image that it took."""
        return self._taken and self._awaited is not None and not self._awaited[1].done()

    async def start(self) -> None:
        """Start keeping; returns when a decoder is ready, raises Unavailable when none gets there."""
        if self._task is None:
            self._ready.clear()
            self._task = asyncio.create_task(self._keep())
        await self.child()

    async def close(self) -> None:
        """Kill the decoder and reap it; who waits for one gets Unavailable. May be called twice."""
        task, self._task = self._task, None
        if task:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._ready.set()

    async def child(self) -> ChildProcess:
        """The decoder, once it is ready; raises Unavailable."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READY_WITHIN_S):
                await self._ready.wait()
        if self._child is None or not self._ready.is_set():
            raise Unavailable("The image decoder is not running.", code="decoder_unavailable", retry_after=5)
        return self._child

    def answer(self, number: int) -> asyncio.Future[Answer | None]:
        """The answer to the message with this id; None if the decoder ended before it took the image."""
        future: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        self._awaited, self._taken = (number, future), False
        return future

    def retire(self, child: ChildProcess, cause: str) -> None:
        """Kill a decoder that is not to be trusted with another image."""
        if child is self._child:
            self._ready.clear()
        child.kill(cause)

    async def _keep(self) -> None:
        """One decoder after the other: at once after one that had worked, else ever more slowly."""
        pause = 0.0
        while True:
            worked = await self._run_one()
            pause = 0.0 if worked else min(RETRY_MAX_S, pause * 2 + 0.1)
            await asyncio.sleep(pause)
            self.restarts += 1

    async def _run_one(self) -> bool:
        """Run a decoder until it ends; True if it was ever ready."""
        began, worked = time.monotonic(), False
        try:
            child = self._child = ChildProcess.spawn(
                self._module, env=_environment(), most_bytes=PACKET_BYTES, most_fds=1
            )
        except OSError as error:
            _log.error("no decoder", extra={"fields": {"evt": "decoder_failed", "errno": error.errno}})
            return False
        try:
            child.send({"limits": self._limits.to_json()})
            ready, _ = await child.receive()
            self._note_walls(ready)
            self.respawn_s, worked = time.monotonic() - began, True
            self._ready.set()
            while self._deliver(*await child.receive()):
                pass
            child.kill("it sent what nobody asked for")
            raise ChildExitedError("it sent what nobody asked for")
        except ChildExitedError as error:
            _log_end(str(error))
            return worked
        finally:
            await self._end(child)

    def _note_walls(self, ready: Message) -> None:
        """Log, once, what keeps the decoder less apart than it should be."""
        missing, known = ready.get("missing"), self._walls
        self._walls = True
        if missing and not known:
            _log.warning("the image decoder is less confined than it should be: %s", missing)

    async def _end(self, child: ChildProcess) -> None:
        self._ready.clear()
        self._child = None
        if self._awaited and not self._awaited[1].done():
            self._awaited[1].set_result(({"code": DECODE_FAILED}, []) if self._taken else None)
        child.kill("the service is stopping")
        await child.wait()

    def _deliver(self, message: Message, fds: list[int]) -> bool:
        """Give a message to who waits for it; False when nobody does."""
        number, future = self._awaited or (0, None)
        expected = message.get("id") == number and future is not None and not future.done()
        if expected and "ok" in message and future is not None:
            future.set_result((message, fds))
            return True
        close_fds(fds)
        expected = expected and not self._taken
        self._taken = self._taken or expected
        return expected


def _log_end(cause: str) -> None:
    signal_name = cause.removeprefix("killed by ")
    if signal_name == cause:
        fields = {"evt": "decoder_killed", "sig": "SIGKILL", "cause": cause}
    else:
        fields = {"evt": "decoder_killed", "sig": signal_name}
    _log.warning("the image decoder ended", extra={"fields": fields})


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
    return {**kept, **_ENVIRONMENT}
