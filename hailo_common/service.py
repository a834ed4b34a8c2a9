"""The parts that every service consists of, built in one place from its settings, and their common life."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from hailo_common import __version__
from hailo_common.config.common_keys import CommonSettings
from hailo_common.config.schema import is_api_key
from hailo_common.config.strict_yaml import read_text
from hailo_common.engine.place import MemoryBudget, ModelNeeds, Places
from hailo_common.engine.pool import EnginePool, ServedModel
from hailo_common.engine.request_queue import RequestQueue
from hailo_common.engine.session import EngineSpec, StartedEngine
from hailo_common.engine.supervisor import EngineSupervisor
from hailo_common.errors import ConfigError
from hailo_common.images.decoder import ImageDecoder
from hailo_common.images.limits import ImageLimits
from hailo_common.model_files import ModelFiles
from hailo_common.models.selection import ServedFolder
from hailo_common.systemd.memory import MemoryWatch, memory_limit, rss_bytes
from hailo_common.systemd.notify import Notifier
from hailo_common.systemd.serve import serve
from hailo_common.web.app import make_base_app
from hailo_common.web.auth import ApiKeys
from hailo_common.web.errors import ErrorFormat
from hailo_common.web.limits import HttpLimits
from hailo_common.web.server.uvicorn_protocol import make_server

log = logging.getLogger(__name__)


def api_keys(settings: CommonSettings) -> ApiKeys:
    """All keys; ConfigError for a key file that cannot be read or holds no key. No message shows a key."""
    keys = [*settings.api_keys, *_from_file(settings.api_key_file)]
    return ApiKeys(keys, _from_file(settings.gateway_key_file))


def _from_file(name: str) -> list[str]:
    keys: list[str] = []
    if not name:
        return keys
    path = Path(name)
    for number, line in enumerate(read_text(path).splitlines(), 1):
        key = line.strip()
        if not key or key.startswith("#"):
            continue
        if not is_api_key(key):
            raise ConfigError(f"{path}:{number}: a key must be 8 to 256 visible ASCII characters")
        keys.append(key)
    if not keys:
        # An empty file must not open the service to everybody.
        raise ConfigError(f"{path}: holds no key")
    if path.stat().st_mode & stat.S_IROTH:
        log.warning("everybody on this machine may read the key file %s", path)
    return keys


@dataclass
class Service:
    """The parts of one running service."""

    settings: CommonSettings
    pool: EnginePool
    decoder: ImageDecoder
    app: FastAPI
    server: uvicorn.Server
    exit_status: int = 0

    @property
    def engine(self) -> EngineSupervisor:
        """That of the default model."""
        return self.pool.default.engine

    @property
    def queue(self) -> RequestQueue:
        """That of the default model."""
        return self.pool.default.queue

    async def run(self, sockets: list[socket.socket]) -> int:
        """Serve until told to stop; returns the exit status (78 for a model that can never load)."""
        notifier = Notifier.from_environ()
        self.pool.on_change = self._model_changed
        self.pool.start()
        memory = asyncio.create_task(MemoryWatch(self.settings.memory_max_mb).run())
        decoder = asyncio.create_task(self.decoder.start())
        try:
            status = await serve(
                self.server,
                sockets,
                on_started=lambda: log.info("listening on %s", _addresses(sockets)),
                on_stopping=self.pool.stop,
                on_overdue=self.pool.abandon,
                watchdog=lambda: self.pool.alive,
                status=self.status_line,
                notifier=notifier,
            )
        finally:
            for task in (memory, decoder):
                task.cancel()
            await asyncio.gather(memory, decoder, return_exceptions=True)
            await self.pool.close()
            await self.decoder.close()
        return self.exit_status or status

    def status_line(self) -> str:
        """The line for `systemctl status`."""
        pool, state = self.pool, self.engine.state
        work = f"{pool.running} running, {pool.waiting} waiting"
        if pool.several:
            models = ", ".join(f"{each.name} {each.state}" for each in pool.models)
            return f"{'Ready' if pool.admits else 'Not ready'}: {models}; {work}"
        if not state.ready or state.info is None:
            return f"{'Idle' if state.admits else 'Not ready'}: {state.reason}"
        awaits = f"; {state.origin['awaits']}" if state.origin.get("awaits") else ""
        return f"Ready: {state.info.model}; {work}{awaits}"

    def memory(self) -> dict[str, int]:
        """Resident bytes of each of the service's processes."""
        pids = {"http": os.getpid(), **self._engine_pids(), "decoder": self.decoder.supervisor.pid}
        return {name: rss_bytes(pid) for name, pid in pids.items() if pid is not None}

    def _engine_pids(self) -> dict[str, int | None]:
        if not self.pool.several:
            return {"engine": self.engine.state.pid}
        return {f"engine:{each.name}": each.engine.state.pid for each in self.pool.models}

    def _model_changed(self, model: ServedModel) -> None:
        """A model that is corrupt at the first load ends its service: a restart would not mend it.

        One of several does not: the others go on.
        """
        state = model.engine.state
        if state.phase == "failed" and state.info is None:
            log.error("the model cannot be used: %s", state.reason)
            if not self.pool.several:
                self.exit_status = os.EX_CONFIG
                self.server.should_exit = True


Needs = Callable[[Path], ModelNeeds]
"""Estimates what the model in a folder will need, before it was ever loaded."""


def assemble(
    name: str,
    settings: CommonSettings,
    *,
    factory: str,
    model_dir: str,
    error_format: ErrorFormat,
    started: StartedEngine | None = None,
    web: Mapping[str, Any] | None = None,
    patience_s: float = 0.0,
    image_cache_bytes: int = 0,
    served: Sequence[ServedFolder] = (),
    needs: Needs = lambda _folder: ModelNeeds(0),
    models_memory_mb: int = 0,
) -> Service:
    """Everything but the routes, built and not started. Raises ConfigError for a key file that is no use.

    `factory` makes the engine in its own process, of the model's folder and the keys that are marked for it;
    `started` is that process where it runs already.
    `web` holds limits of the HTTP server that differ from the usual ones; `patience_s` is for services with
    background requests; `image_cache_bytes` of pixels stay decoded for images that come again.
    `served` are the models that are served by name, the first one the default; `needs` and `models_memory_mb`
    say what each takes and what all may take.
    """
    decoder = ImageDecoder(image_limits(settings), cache_bytes=image_cache_bytes)

    def budget() -> MemoryBudget:
        return _budget(settings, models_memory_mb)

    maker = _Maker(name, settings, factory, patience_s, ModelFiles())
    pool = (
        maker.pool(served, budget, needs)
        if served
        else EnginePool([maker.model(maker.spec(model_dir), started)])
    )
    app = make_base_app(
        title=name,
        version=__version__,
        error_format=error_format,
        limits=http_limits(settings, **(web or {})),
        docs=settings.docs,
        page=settings.page,
    )
    return Service(settings, pool, decoder, app, make_server(app))


@dataclass(frozen=True)
class _Maker:
    """Makes the models of a service from its settings."""

    service: str
    settings: CommonSettings
    factory: str
    patience_s: float
    files: ModelFiles

    def spec(self, model_dir: str) -> EngineSpec:
        return EngineSpec.of(self.service, self.settings, factory=self.factory, model_dir=model_dir)

    def model(self, spec: EngineSpec, started: StartedEngine | None = None) -> ServedModel:
        engine = EngineSupervisor(started.spec if started else spec, started, check=self.files)
        return ServedModel("", engine, self._queue(engine))

    def pool(
        self, served: Sequence[ServedFolder], budget: Callable[[], MemoryBudget], needs: Needs
    ) -> EnginePool:
        """Several models, or one with a name."""
        places = Places(budget, wait_s=self.settings.queue_timeout_s, patience_s=self.patience_s)
        return EnginePool(
            [self._served(each, places, needs, len(served) > 1) for each in served], places, rss_bytes
        )

    def _served(self, served: ServedFolder, places: Places, needs: Needs, shares: bool) -> ServedModel:
        folder = served.choice.folder

        def need() -> ModelNeeds:
            # Another model may have taken the place of the one in `folder` by now.
            return needs(Path(str(engine.spec.options["model_dir"])))

        place = places.make(served.name, need) if shares else None
        # The pool knows who waits and unloads idle models itself.
        spec = replace(self.spec(str(folder)), keep_alive_s=0.0)
        engine = EngineSupervisor(spec, place=place, check=self.files)
        return ServedModel(served.name, engine, self._queue(engine), place, served.keep_s)

    def _queue(self, engine: EngineSupervisor) -> RequestQueue:
        settings = self.settings
        return RequestQueue(
            engine, size=settings.queue_size, wait_s=settings.queue_timeout_s, patience_s=self.patience_s
        )


_OTHERS = 128 << 20
"""What is left to the HTTP process and the decoder; what they take now would make the budget waver."""


def _budget(settings: CommonSettings, models_memory_mb: int) -> MemoryBudget:
    """What all engines may take together: the key, else the service's limit less its other processes."""
    if models_memory_mb:
        return MemoryBudget(models_memory_mb << 20, "models_memory_mb")
    limit, origin = memory_limit(settings.memory_max_mb)
    if not limit:
        return MemoryBudget(0, "no limit is known")
    return MemoryBudget(max(1, limit - _OTHERS), f"{origin}, less the HTTP process and the decoder")


def image_limits(settings: CommonSettings) -> ImageLimits:
    """What an image may be."""
    return ImageLimits(
        max_bytes=settings.max_image_bytes,
        max_pixels=settings.max_image_pixels,
        max_jpeg_pixels=settings.max_jpeg_pixels,
        max_side=settings.max_image_side,
    )


def http_limits(settings: CommonSettings, **more: Any) -> HttpLimits:
    """The limits of the HTTP server, with `more`; ConfigError for a key file that is no use."""
    return HttpLimits(
        peer_connections=settings.max_connections_per_peer,
        body_budget=max(HttpLimits.body_budget, settings.max_body_bytes),
        hosts=settings.allowed_hosts,
        origins=settings.cors_origins,
        keys=api_keys(settings),
        **more,
    )


def _addresses(sockets: list[socket.socket]) -> str:
    names = []
    for listener in sockets:
        with contextlib.suppress(OSError, ValueError):
            host, port = listener.getsockname()[:2]
            names.append(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
    return ", ".join(names)


Build = Callable[..., Service]
"""Makes a service of its settings, the folder of its model, and its engine process as `started`."""
