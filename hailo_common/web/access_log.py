"""The outermost part of the front door: request ids, counters, the request log, and the last catch."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hailo_common.errors import ServiceError, Unavailable
from hailo_common.systemd.record import request_id
from hailo_common.web.errors import render
from hailo_common.web.state import RequestState, ServerState, request_state_of

logger = logging.getLogger("hailo_common.web")

CLIENT_GONE = 499
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


class AccessLog:
    """ASGI middleware: gives each request an id, counts and logs it, answers 500 to what nobody caught."""

    def __init__(self, app: ASGIApp, *, server_state: ServerState) -> None:
        self.app = app
        self._server_state = server_state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request from its first to its last byte."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.monotonic()
        request_state = request_state_of(scope)
        token = request_id.set(_choose_id(Headers(scope=scope)))
        answer = _Answer(send, request_state, head_only=scope["method"] == "HEAD")
        inner = {**scope, "method": "GET"} if answer.head_only else scope
        self._server_state.in_flight += 1
        try:
            await self._serve(inner, receive, answer)
        finally:
            self._server_state.in_flight -= 1
            request_state.release()
            self._note(inner, request_state, scope["method"], time.monotonic() - started)
            request_id.reset(token)

    async def _serve(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        try:
            await self.app(scope, receive, answer.send)
        except asyncio.CancelledError:
            # Only a server that stops cancels a request; the task ends here either way.
            await self._refuse(Unavailable("The service is stopping.", retry_after=5), scope, receive, answer)
        except Exception as error:
            await self._on_error(_cause(error), scope, receive, answer)

    async def _on_error(self, error: BaseException, scope: Scope, receive: Receive, answer: _Answer) -> None:
        if isinstance(error, ClientDisconnect):
            answer.request_state.client_gone = True
        elif isinstance(error, ServiceError):
            await self._refuse(error, scope, receive, answer)
        else:
            logger.error("unexpected error", exc_info=error)
            await self._refuse(ServiceError("Something went wrong here."), scope, receive, answer)

    async def _refuse(self, error: ServiceError, scope: Scope, receive: Receive, answer: _Answer) -> None:
        answer.request_state.code = error.code
        if answer.request_state.status is None:
            await render(self._server_state.shape, error)(scope, receive, answer.send)

    def _note(self, scope: Scope, request_state: RequestState, method: str, seconds: float) -> None:
        server_state = self._server_state
        # The template, never the path: no byte that a client chose reaches the log or the metrics.
        endpoint = getattr(scope.get("route"), "path", "-")
        method = method if method in _METHODS else "OTHER"
        status = CLIENT_GONE if request_state.client_gone else request_state.status or 500
        server_state.responses[endpoint, method, status] += 1
        if request_state.client_gone:
            server_state.clients_gone += 1
            return
        if request_state.code is not None:
            server_state.refusals[request_state.code] += 1
        client = scope.get("client")
        fields: dict[str, str | int] = {
            "ENDPOINT": endpoint,
            "METHOD": method,
            "STATUS": status,
            "DURATION_MS": round(seconds * 1000),
            "PEER": client[0] if client else "unix",
        }
        server_state.lines.request(fields, request_state.code)


def _cause(error: Exception) -> BaseException:
    # Starlette wraps what a handler would have caught, had the answer not begun.
    return error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error


def _choose_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


class _Answer:
    """The sending side: notes the status, adds the id, drops the body that HEAD must not have."""

    def __init__(self, send: Send, request_state: RequestState, *, head_only: bool) -> None:
        self.request_state = request_state
        self.head_only = head_only
        self._send = send

    async def send(self, message: Message) -> None:
        if self.request_state.client_gone:
            # uvicorn swallows what nobody receives, and a stream would go on to its end.
            raise ClientDisconnect
        if message["type"] == "http.response.start":
            self.request_state.status = message["status"]
            headers = [*message.get("headers", ()), (b"x-request-id", request_id.get().encode("ascii"))]
            await self._send({**message, "headers": headers})
        elif self.head_only and message["type"] == "http.response.body":
            await self._send({**message, "body": b""})
        else:
            await self._send(message)
        if message.get("more_body", False):
            # A stream that never has to wait would keep everybody else waiting.
            await asyncio.sleep(0)
