"""An answer that is sent while it is made, in whatever form a dialect streams."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hailo_common.errors import ServiceError
from hailo_common.web.body import until_disconnect
from hailo_common.web.errors import ErrorFormat
from hailo_common.web.state import request_state_of

SSE = "text/event-stream; charset=utf-8"
NDJSON = "application/x-ndjson"
DONE = b"data: [DONE]\n\n"
PING = b": ping\n\n"

log = logging.getLogger(__name__)


def event(value: Mapping[str, Any], name: str = "") -> bytes:
    """One server-sent event. The escapes of `json.dumps` keep every line end out of it."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


def line(value: Mapping[str, Any]) -> bytes:
    """One line of newline-delimited JSON."""
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


class Failure(Protocol):
    """How a dialect tells of an error after the answer has begun."""

    def __call__(self, error: ServiceError) -> bytes:
        """The last bytes of the stream."""
        ...


@dataclass(frozen=True)
class StreamForm:
    """How a dialect streams: its content type, what keeps a silent stream open (if anything may), its
    errors.
    """

    content_type: str
    ping: bytes
    failure: Failure


def sse_form(error_format: ErrorFormat) -> StreamForm:
    """Server-sent events whose last is the error as the dialect reports it."""
    return StreamForm(SSE, PING, lambda error: event(error_format(error_format.http_status(error), error)))


class EventStream(Response):
    """Sends what `source` yields, each piece in one write; `holding` is released when all is over.

    An error after the start is told in the dialect's form, as the last thing. A client that hangs up
    closes the source at once.
    """

    def __init__(
        self,
        source: AsyncGenerator[bytes, None],
        holding: contextlib.AsyncExitStack,
        form: StreamForm,
        *,
        ping_s: float,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        # nginx would otherwise collect the answer and hand it on in one piece.
        own = {"content-type": form.content_type, "cache-control": "no-cache", "x-accel-buffering": "no"}
        super().__init__(headers={**own, **(headers or {})})
        del self.headers["content-length"]
        self._source = source
        self._holding = holding
        self._form = form
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
        pinging = asyncio.create_task(self._ping(send)) if self._form.ping else None
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
            if pinging:
                pinging.cancel()
        await send({"type": "http.response.body", "body": last, "more_body": False})

    def _failure(self, scope: Scope, error: ServiceError) -> bytes:
        request_state_of(scope).code = error.code
        return self._form.failure(error)

    async def _ping(self, send: Send) -> None:
        with contextlib.suppress(ClientDisconnect):
            while True:
                silent = time.monotonic() - self._sent_at
                await asyncio.sleep(max(0.0, self._ping_s - silent))
                if time.monotonic() - self._sent_at >= self._ping_s:
                    self._sent_at = time.monotonic()
                    await send({"type": "http.response.body", "body": self._form.ping, "more_body": True})
