"""Builds everything hailo-florence consists of. Nothing else constructs more than it owns."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import uvicorn
from fastapi import FastAPI

from hailo_common import __version__
from hailo_common.daemon.memory import MemoryWatch, rss_bytes
from hailo_common.daemon.notify import Notifier
from hailo_common.daemon.serve import serve
from hailo_common.engine.session import EngineSpec
from hailo_common.engine.state import EngineState
from hailo_common.engine.supervisor import EngineSupervisor
from hailo_common.images.decoder import PictureDecoder
from hailo_common.images.limits import Limits as PictureLimits
from hailo_common.lane import Lane
from hailo_common.web.app import make_base_app
from hailo_common.web.door import front_door
from hailo_common.web.errors import flat_shape
from hailo_common.web.health import add_health_routes
from hailo_common.web.metrics import Metrics
from hailo_common.web.server import make_server
from hailo_common.web.settings import WebSettings
from hailo_florence.api import add_routes
from hailo_florence.config import SERVICE, Settings
from hailo_florence.worker import FlorenceWorker, Limits

log = logging.getLogger(__name__)

ENGINE = "hailo_florence.engine:make_engine"


@dataclass
class Service:
    """The parts of one running service."""

    settings: Settings
    engine: EngineSupervisor
    decoder: PictureDecoder
    lane: Lane
    app: FastAPI
    server: uvicorn.Server
    exit_status: int = 0

    async def run(self, sockets: list[socket.socket]) -> int:
        """Serve until told to stop; returns the exit status (78 for a model that can never load)."""
        notifier = Notifier.from_environ()
        self.engine.on_change = self._engine_changed
        self.engine.start()
        memory = asyncio.create_task(MemoryWatch(self.settings.memory_max_mb).run())
        decoder = asyncio.create_task(self.decoder.start())
        try:
            status = await serve(
                self.server,
                sockets,
                on_started=lambda: log.info("listening on %s", _addresses(sockets)),
                on_stopping=self.lane.stop,
                on_overdue=self.lane.abandon,
                watchdog=lambda: self.engine.alive,
                status=self.status_line,
                notifier=notifier,
            )
        finally:
            for task in (memory, decoder):
                task.cancel()
            await asyncio.gather(memory, decoder, return_exceptions=True)
            await self.engine.close()
            await self.decoder.close()
        return self.exit_status or status

    def status_line(self) -> str:
        """The line for `systemctl status`."""
        state = self.engine.state
        if not state.ready:
            return f"Not ready: {state.reason}"
        return f"Ready: {state.info['model']}; {self.lane.running} running, {self.lane.waiting} waiting"

    def _engine_changed(self, state: EngineState) -> None:
        """A model that is corrupt at the first load ends the service: a restart would not mend it."""
        if state.phase == "failed" and state.restarts == 1:
            log.error("the model cannot be used: %s", state.reason)
            self.exit_status = os.EX_CONFIG
            self.server.should_exit = True


def build(settings: Settings, model_dir: str, *, factory: str = ENGINE) -> Service:
    """Everything, built and not started."""
    options = {"model_dir": model_dir, "backend": settings.backend, "threads": settings.threads}
    engine = EngineSupervisor(_engine_spec(settings, options, factory))
    decoder = PictureDecoder(
        PictureLimits(
            max_bytes=settings.max_image_bytes,
            max_pixels=settings.max_image_pixels,
            max_side=settings.max_image_side,
        )
    )
    lane = Lane(engine, size=settings.queue_size)
    web = WebSettings(peer_connections=settings.max_connections_per_peer, hosts=settings.allowed_hosts)
    app = make_base_app(
        title=SERVICE, version=__version__, shape=flat_shape, settings=web, docs=settings.docs
    )
    metrics = Metrics("hailo_florence", lane, front_door(app), lambda: _memory(engine, decoder))
    limits = Limits(settings.max_length_limit, settings.default_max_length, settings.slow_inference_s)
    add_routes(app, FlorenceWorker(lane, decoder, metrics, limits))
    add_health_routes(app, lane, metrics)
    return Service(settings, engine, decoder, lane, app, make_server(app))


def _engine_spec(settings: Settings, options: Mapping[str, Any], factory: str) -> EngineSpec:
    return EngineSpec(
        service=SERVICE,
        factory=factory,
        options=options,
        log_level=settings.log_level,
        load_timeout_s=settings.load_timeout_s,
        request_timeout_s=settings.request_timeout_s,
    )


def _memory(engine: EngineSupervisor, decoder: PictureDecoder) -> dict[str, int]:
    pids = {"http": os.getpid(), "engine": engine.state.pid, "decoder": decoder.keeper.pid}
    return {name: rss_bytes(pid) for name, pid in pids.items() if pid is not None}


def _addresses(sockets: list[socket.socket]) -> str:
    names = []
    for listener in sockets:
        with contextlib.suppress(OSError, ValueError):
            host, port = listener.getsockname()[:2]
            names.append(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
    return ", ".join(names)
