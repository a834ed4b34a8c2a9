"""A small service for socket tests: `python -m tests.hailo_common.web.stub SETTINGS`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from hailo_common.config.common_keys import CommonSettings
from hailo_common.errors import Busy
from hailo_common.images.image_text import read_image_text
from hailo_common.systemd.logging import setup_logging
from hailo_common.web.app import make_base_app
from hailo_common.web.auth import ApiKeys
from hailo_common.web.body import read_body, read_json, release_body, until_disconnect
from hailo_common.web.forms import read_form
from hailo_common.web.limits import MIB, HttpLimits
from hailo_common.web.server.uvicorn_protocol import make_server
from hailo_common.web.state import server_state_of
from hailo_vision.api.openai.errors import openai_format

JSON_LIMIT = 14 * MIB
FORM_LIMIT = 10 * MIB
QUEUE = 8


class Numbers(BaseModel):
    temperature: float = 0.0
    max_tokens: int = 1


class Stub:
    """What the stub's routes count."""

    def __init__(self) -> None:
        self.cancelled = 0
        self.queued = 0
        self.served = 0
        self.stall_ms = 0.0
        self.queue = asyncio.Lock()

    async def watch(self) -> None:
        # The processor time between two turns: what a stall is on a machine that has nothing else to do.
        while True:
            before = time.process_time()
            await asyncio.sleep(0.001)
            self.stall_ms = max(self.stall_ms, (time.process_time() - before) * 1000)

    @contextlib.asynccontextmanager
    async def life(self, _app: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(self.watch())
        yield
        task.cancel()

    async def work(self, seconds: float) -> None:
        try:
            async with self.queue:
                await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


def http_limits(**options: Any) -> HttpLimits:
    """The limits of a service with the default configuration, but for `options`."""
    usual = {"peer_connections": CommonSettings().max_connections_per_peer, "hosts": (), "origins": ()}
    return HttpLimits(**{**usual, "keys": ApiKeys(), **options})


def make_app(limits: HttpLimits, *, docs: bool = False) -> FastAPI:
    """The stub's app."""
    stub = Stub()
    app = make_base_app(
        title="Stub", version="1", error_format=openai_format, limits=limits, docs=docs, lifespan=stub.life
    )
    _add_bodies(app)
    _add_work(app, stub)
    _add_stats(app, stub)
    return app


def _add_bodies(app: FastAPI) -> None:
    @app.post("/json")
    async def take_json(request: Request) -> dict[str, Any]:
        body = await read_json(request, limit=JSON_LIMIT)
        image = body.get("image")
        size = len(read_image_text(image, limit_bytes=10 * MIB)) if isinstance(image, str) else None
        release_body(request)
        return {"keys": sorted(body)[:10], "image_bytes": size}

    @app.post("/form")
    async def take_form(request: Request) -> dict[str, Any]:
        form = await read_form(request, limit=FORM_LIMIT)
        files = {name: len(data) for name, data in form.files}
        return {"fields": {name: len(text) for name, text in form.fields.items()}, "files": files}

    @app.post("/numbers")
    async def take_numbers(request: Request) -> dict[str, Any]:
        return Numbers.model_validate(await read_json(request, limit=JSON_LIMIT)).model_dump()


def _add_work(app: FastAPI, stub: Stub) -> None:
    @app.get("/slow")
    async def slow(request: Request, seconds: float = 30.0) -> dict[str, Any]:
        await until_disconnect(request, stub.work(seconds))
        return {}

    @app.post("/queue")
    async def queue(request: Request, seconds: float = 0.05) -> dict[str, Any]:
        if stub.queued >= QUEUE:
            raise Busy("The queue is full.", retry_after=2)
        stub.queued += 1
        try:
            await read_body(request, limit=JSON_LIMIT)
            await until_disconnect(request, stub.work(seconds))
            stub.served += 1
        finally:
            stub.queued -= 1
        return {}

    @app.get("/big")
    async def big(mib: int = 32) -> StreamingResponse:
        async def blocks() -> AsyncIterator[bytes]:
            for _ in range(mib * 16):
                yield bytes(64 * 1024)

        return StreamingResponse(blocks(), media_type="application/octet-stream")

    @app.get("/crash")
    async def crash() -> None:
        raise RuntimeError("a secret text")

    @app.get("/ping")
    async def ping() -> dict[str, Any]:
        return {}


def _add_stats(app: FastAPI, stub: Stub) -> None:
    @app.get("/stats")
    async def stats(request: Request) -> dict[str, Any]:
        server_state = server_state_of(request)
        stall, stub.stall_ms = stub.stall_ms, 0.0
        return {
            "stall_ms": stall,
            "in_flight": server_state.in_flight,
            "connections": server_state.connection_limiter.connections,
            "clients_gone": server_state.clients_gone,
            "budget_used": server_state.budget.used,
            "refusals": dict(server_state.refusals),
            "queued": stub.queued,
            "served": stub.served,
            "cancelled": stub.cancelled,
            "tasks": len(asyncio.all_tasks()),
        }


def main(arguments: list[str]) -> None:
    """Serve on a free port of 127.0.0.1, which is printed."""
    setup_logging("stub")
    options = json.loads(arguments[0])
    docs = options.pop("docs", False)
    options["hosts"] = tuple(options.get("hosts", ()))
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen(512)
        print(listener.getsockname()[1], flush=True)
        server = make_server(make_app(http_limits(**options), docs=docs))
        asyncio.run(server.serve(sockets=[listener]))


if __name__ == "__main__":
    main(sys.argv[1:])
