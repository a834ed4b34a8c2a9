"""A tiny service for the lifecycle tests: `python -m tests.hailo_common.systemd.serve_app OPTIONS_AS_JSON`.

Prints its port, then each turn of its life, on standard output; logs to standard error.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn

from hailo_common.systemd.logging import setup_logging
from hailo_common.systemd.serve import serve
from hailo_common.systemd.sockets import listening_sockets

OPTIONS: dict[str, Any] = {
    "grace_s": 25.0,
    "startup_s": 0.0,
    "fail": False,
    "deaf": False,
    **json.loads(sys.argv[1]),
}
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def say(event: str) -> None:
    print(event, flush=True)


class Toy:
    """GET /slow waits, /hang fails the watchdog's check, /quit ends the server, all else answers at once."""

    def __init__(self) -> None:
        self.server: uvicorn.Server | None = None
        self.alive = True
        self.overdue = asyncio.Event()
        self.requests = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.lifespan(receive, send)
        else:
            self.requests += 1
            await self.answer(scope["path"], send)

    async def lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await asyncio.sleep(OPTIONS["startup_s"])
        if OPTIONS["fail"]:
            await send({"type": "lifespan.startup.failed", "message": "no"})
            return
        say("loaded")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        say("unloaded")
        await send({"type": "lifespan.shutdown.complete"})

    async def answer(self, path: str, send: Send) -> None:
        status = 200
        if path == "/slow":
            status = await self.work()
        elif path == "/hang":
            self.alive = False
        elif path == "/quit" and self.server:
            self.server.should_exit = True
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})

    async def work(self) -> int:
        say("working")
        if OPTIONS["deaf"]:
            await asyncio.sleep(60)
        try:
            await asyncio.wait_for(self.overdue.wait(), OPTIONS.get("work_s", 60))
        except TimeoutError:
            return 200
        return 503

    def on_overdue(self) -> None:
        say("overdue")
        self.overdue.set()

    def watchdog(self) -> bool:
        return self.alive

    def status(self) -> str:
        return f"Ready, {self.requests} requests"


async def main() -> int:
    app = Toy()
    app.server = uvicorn.Server(uvicorn.Config(app, http="h11", ws="none", log_config=None, access_log=False))
    sockets = listening_sockets("127.0.0.1", 0)
    say(str(sockets[0].getsockname()[1]))
    return await serve(
        app.server,
        sockets,
        on_started=lambda: say("started"),
        on_stopping=lambda: say("stopping"),
        on_overdue=app.on_overdue,
        watchdog=app.watchdog,
        status=app.status,
        grace_s=OPTIONS["grace_s"],
    )


if __name__ == "__main__":
    setup_logging("toy", "info")
    status = asyncio.run(main())
    say("returned")
    sys.exit(status)
