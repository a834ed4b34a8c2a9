"""An answer of server-sent events: written as it comes, kept alive with comments, ended with its reader."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Mapping

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hailo_common.errors import ServiceError
from hailo_common.web.body import until_disconnect
from hailo_common.web.state import request_state_of
from hailo_vision.api.openai.errors import openai_format
from hailo_vision.api.openai.responses import PING, event

log = logging.getLogger(__name__)

_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    # nginx would otherwise collect the answer and hand it on in one piece.
    "x-accel-buffering": "no",
}


class EventStream(Response):
    """Sends what `source` yields, each piece in one write; `holding` is released when all is over.

    An error after the start is told as `data: {"error": ...}`, the last event. A client that hangs up closes
    the source at once.
    """

    def __init__(
        self,
        source: AsyncGenerator[bytes, None],
        holding: contextlib.AsyncExitStack,
        *,
        ping_s: float,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(headers={**_HEADERS, **(headers or {})})
        del self.headers["content-length"]
        self._source = source
        self._holding = holding
        self._ping_s = ping_s
        self._sent_at = time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        async with self._holding:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            # A task of its own: a token then wakes it alone, not all that lies around the request.
            writing = asyncio.create_task(self._write(scope, send))
            await until_disconnect(Request(scope, receive), writing)

    async def _write(self, scope: Scope, send: Send) -> None:
        pinging = asyncio.create_task(self._ping(send))
        try:
            async with contextlib.aclosing(self._source):
                async for piece in self._source:
                    self._sent_at = time.monotonic()
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            last = b""
        except ClientDisconnect:
            raise
        except ServiceError as error:
            last = self._failure(scope, error)
        except Exception:
            log.exception("a stream failed")
            last = self._failure(scope, ServiceError("Something went wrong here."))
        finally:
            pinging.cancel()
        await send({"type": "http.response.body", "body": last, "more_body": False})

    def _failure(self, scope: Scope, error: ServiceError) -> bytes:
        request_state_of(scope).code = error.code
        return event(openai_format(openai_format.http_status(error), error))

    async def _ping(self, send: Send) -> None:
        with contextlib.suppress(ClientDisconnect):
            while True:
                silent = time.monotonic() - self._sent_at
                await asyncio.sleep(max(0.0, self._ping_s - silent))
                if time.monotonic() - self._sent_at >= self._ping_s:
                    self._sent_at = time.monotonic()
                    await send({"type": "http.response.body", "body": PING, "more_body": True})
