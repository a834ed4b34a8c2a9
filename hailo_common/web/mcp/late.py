"""An answer that takes long: a stream that tells of progress until it is there."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hailo_common.errors import ServiceError
from hailo_common.web.body import until_disconnect
from hailo_common.web.mcp.errors import json_rpc_format
from hailo_common.web.mcp.messages import Message

_PING = b": working\n\n"
log = logging.getLogger(__name__)


class LateAnswer(Response):
    """Sends what `work` gives, and every `every_s` seconds until then a sign of life.

    That is a notification of progress where the client wants such, else a comment. A client that hangs up
    cancels the work.
    """

    def __init__(
        self, message: Message, work: asyncio.Task[dict[str, Any]], *, began: float, every_s: float
    ) -> None:
        super().__init__(headers={"cache-control": "no-cache", "x-accel-buffering": "no"})
        self.headers["content-type"] = "text/event-stream"
        del self.headers["content-length"]
        self._message = message
        self._work = work
        self._began = began
        self._every_s = every_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await until_disconnect(Request(scope, receive), self._write(send))
        finally:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)

    async def _write(self, send: Send) -> None:
        while not self._work.done():
            await send({"type": "http.response.body", "body": self._sign(), "more_body": True})
            await asyncio.wait((self._work,), timeout=self._every_s)
        await send({"type": "http.response.body", "body": _event(self._last()), "more_body": False})

    def _last(self) -> dict[str, Any]:
        try:
            return {"jsonrpc": "2.0", "id": self._message.id, "result": self._work.result()}
        except Exception:
            log.exception("a tool failed")
            return {
                **json_rpc_format(500, ServiceError("Something went wrong here.")),
                "id": self._message.id,
            }

    def _sign(self) -> bytes:
        token = self._message.progress_token
        if token is None:
            return _PING
        params = {"progressToken": token, "progress": round(time.monotonic() - self._began, 1)}
        return _event({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})


def _event(value: dict[str, Any]) -> bytes:
    return b"event: message\ndata: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"
