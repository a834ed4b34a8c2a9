"""The life of a uvicorn server as systemd wants it: ready when the port answers, gone within 45 seconds."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import uvicorn

from hailo_common.systemd.notify import Heartbeat, Notifier
from hailo_common.systemd.wake import shared

_log = logging.getLogger(__name__)
_LAST_WORDS_S = 2.0
_UNLOAD_S = 17.0
"""More than an engine in a slow step is given: `hailo_common.engine.session.MOST_GRACE_S`."""
_INTERRUPTED = 130
_FAILED = 1
_LOOK_S = 1.0


def _nothing() -> None:
    pass


def _always() -> bool:
    return True


def _silent() -> str:
    return ""


@dataclass(frozen=True)
class _Hooks:
    on_started: Callable[[], None]
    on_stopping: Callable[[], None]
    on_overdue: Callable[[], None]


async def serve(
    server: uvicorn.Server,
    sockets: list[socket.socket],
    *,
    on_started: Callable[[], None] = _nothing,
    on_stopping: Callable[[], None] = _nothing,
    on_overdue: Callable[[], None] = _nothing,
    watchdog: Callable[[], bool] = _always,
    status: Callable[[], str] = _silent,
    grace_s: float = 25.0,
    notifier: Notifier | None = None,
) -> int:
    """Serve until SIGTERM, SIGINT or `server.should_exit`; returns the exit status (0, 130 after SIGINT, 1).

    Hooks return at once. `on_stopping` makes the request queue refuse new work. Work in progress then has
    `grace_s` to finish; after that `on_overdue` gives it a clean error, which has two seconds to leave.
    `watchdog` says whether the engine is alive and not overdue, `status` is a line for `systemctl status`.
    """
    notifier = notifier or Notifier.from_environ()
    heartbeat = Heartbeat(notifier, watchdog, status)
    life = _Life(server, _Hooks(on_started, on_stopping, on_overdue), grace_s, notifier, heartbeat)
    with life.signals():
        return await life.run(sockets)


class _Life:
    def __init__(
        self,
        server: uvicorn.Server,
        hooks: _Hooks,
        grace_s: float,
        notifier: Notifier,
        heartbeat: Heartbeat,
    ) -> None:
        self._server = server
        self._hooks = hooks
        self._grace_s = grace_s
        self._notifier = notifier
        self._heartbeat = heartbeat
        self._hurry = asyncio.Event()
        self._stop_asked = asyncio.Event()
        self._stopping = False
        self._status = 0

    async def run(self, sockets: list[socket.socket]) -> int:
        if not await self._start(sockets):
            _log.error("the application could not start")
            return _FAILED
        beating = asyncio.create_task(self._heartbeat.run())
        try:
            if not self._stopping:
                self._heartbeat.ready()
                self._hooks.on_started()
                await self._until_exit()
            self._begin_stop()
            await self._stop(sockets)
        finally:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)
        return self._status

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """Handle signals here: uvicorn's own handler raises them again after the shutdown."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._on_signal, 0)
        loop.add_signal_handler(signal.SIGINT, self._on_signal, _INTERRUPTED)
        loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                loop.remove_signal_handler(number)

    async def _start(self, sockets: list[socket.socket]) -> bool:
        """The public steps of `uvicorn.Server.serve`, so that READY can follow the last one."""
        config = self._server.config
        if not config.loaded:
            config.load()
        self._server.lifespan = config.lifespan_class(config)
        # Newer versions leave a failed start by SystemExit, older ones by `started` staying False.
        with contextlib.suppress(SystemExit):
            await self._server.startup(sockets=sockets)
        return self._server.started

    async def _until_exit(self) -> None:
        """uvicorn's main loop, which wakes an idle process ten times a second to look at one flag."""
        while not await self._server.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop_asked.wait(), shared(_LOOK_S))

    def _on_signal(self, status: int) -> None:
        if self._stopping:
            self._hurry.set()
            return
        self._status = status
        self._begin_stop()

    def _on_hangup(self) -> None:
        _log.info("SIGHUP does nothing; restart the service to read its configuration again")

    def _begin_stop(self) -> None:
        if self._stopping:
            return
        self._stopping = self._heartbeat.stopping = True
        self._server.should_exit = True
        self._stop_asked.set()
        self._notifier.stopping("Stopping: finishing requests in progress")
        self._guarded(self._hooks.on_stopping)

    async def _stop(self, sockets: list[socket.socket]) -> None:
        drain = asyncio.create_task(self._end_of_grace())
        try:
            limit = self._grace_s + _LAST_WORDS_S + _UNLOAD_S
            await asyncio.wait_for(self._server.shutdown(sockets=sockets), limit)
        except TimeoutError:
            _log.error("the application did not stop in time")
        finally:
            drain.cancel()

    async def _end_of_grace(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), self._grace_s)
        state = self._server.server_state
        _log.warning("stopping with requests in progress", extra={"fields": {"n": len(state.connections)}})
        self._guarded(self._hooks.on_overdue)
        await asyncio.sleep(_LAST_WORDS_S)
        for task in list(state.tasks):
            task.cancel()
        for connection in list(state.connections):
            connection.transport.abort()

    def _guarded(self, hook: Callable[[], None]) -> None:
        try:
            hook()
        except Exception:
            _log.exception("a hook failed while stopping")
