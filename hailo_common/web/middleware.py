"""Everything that happens to a request outside its route, in one place and in order."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Iterator, Sequence

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hailo_common.errors import ServiceError, Unavailable
from hailo_common.owner import owner
from hailo_common.systemd.record import request_id
from hailo_common.web.addresses import ExactRoutes, plain_path
from hailo_common.web.auth import check_key, owner_of
from hailo_common.web.body import DrainedBody
from hailo_common.web.errors import render
from hailo_common.web.origins import Cors, SiteCheck
from hailo_common.web.page.seen import SeenImages
from hailo_common.web.state import RequestState, ServerState, current, request_state_of

logger = logging.getLogger("hailo_common.web")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_PART_COST, _MAX_WITHOUT_PAUSE = 4096, 16 * 4096  # bytes
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


class RequestMiddleware:
    """ASGI middleware, the only one; a request passes it in this order:

    1. `__call__` gives its address its main name and it an id, counts and logs it; HEAD becomes GET with a
       body that is not sent.
    2. `_catch` answers 500 to what nobody caught, 503 to what the stopping server cancels.
    3. `_cors` answers preflights of configured pages and lets these pages read the answers.
    4. `_check` refuses by Host (400, 421), Origin (403) and API key (401), before the body is read; of who is
       let in it notes the owner.
    5. `_answer` answers OPTIONS from the table of routes (204); all else goes to the app. What either leaves
       of the body is drained.
    """

    def __init__(
        self, app: ASGIApp, *, server_state: ServerState, routes: Sequence[BaseRoute], seen: SeenImages
    ) -> None:
        self.app = app
        self._server_state = server_state
        self._routes = routes
        self._seen = seen
        self._sites = SiteCheck(server_state.limits.hosts, server_state.limits.origins)
        self._cors = Cors(self._check, server_state.limits.origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request from its first to its last byte."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.monotonic()
        path = plain_path(scope["path"], self._server_state.aliases)
        if path != scope["path"]:
            scope = {**scope, "path": path, "raw_path": path.encode("utf-8", "surrogateescape")}
        request_state = request_state_of(scope)
        token = request_id.set(_choose_id(Headers(scope=scope)))
        state_token = current.set(request_state)
        answer = _Answer(send, request_state, head_only=scope["method"] == "HEAD")
        inner = {**scope, "method": "GET"} if answer.head_only else scope
        self._server_state.in_flight += 1
        try:
            await self._catch(inner, receive, answer)
        finally:
            self._server_state.in_flight -= 1
            request_state.release()
            self._note(inner, request_state, scope["method"], time.monotonic() - started)
            current.reset(state_token)
            request_id.reset(token)

    async def _catch(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        try:
            await self._cors(scope, receive, answer.send)
        except asyncio.CancelledError:
            # Only a server that stops cancels a request; the task ends here either way.
            await self._refuse(Unavailable("The service is stopping.", retry_after=5), scope, receive, answer)
        except Exception as error:
            await self._on_error(_cause(error), scope, receive, answer)

    async def _check(self, scope: Scope, receive: Receive, send: Send) -> None:
        error = self._sites.check(scope) or check_key(scope, self._server_state.limits.keys)
        if error is None:
            name = request_state_of(scope).owner = owner_of(scope, self._server_state.limits.keys)
            token = owner.set(name)
            try:
                with self._seen.watching(scope):
                    await self._answer(scope, DrainedBody(scope, receive, send, self._server_state.limits))
            finally:
                owner.reset(token)
            return
        request_state_of(scope).code = error.code
        await render(self._server_state.format_for(scope["path"]), error)(scope, receive, send)

    async def _answer(self, scope: Scope, body: DrainedBody) -> None:
        routes = list(self._routes_of(scope)) if scope["method"] == "OPTIONS" else []
        methods = {method for route in routes for method in getattr(route, "methods", None) or ()}
        if not methods:
            await self.app(scope, body.receive, body.send)
            return
        more = {"HEAD"} if "GET" in methods else set()
        allow = ", ".join(sorted({*methods, *more, "OPTIONS"}))
        await Response(status_code=204, headers={"allow": allow})(scope, body.receive, body.send)

    def _routes_of(self, scope: Scope) -> Iterator[BaseRoute]:
        """The routes of an address, whatever their methods; none for an unknown one, which gets 404."""
        own = (route for route in self._routes if not isinstance(route, ExactRoutes))
        return (route for route in own if route.matches(scope)[0] is not Match.NONE)

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
            error_format = self._server_state.format_for(scope["path"])
            await render(error_format, error)(scope, receive, answer.send)

    def _note(self, scope: Scope, request_state: RequestState, method: str, seconds: float) -> None:
        # The template, never the path: no byte that a client chose reaches the metrics.
        route = scope.get("route") or next(self._routes_of(scope), None)
        client = scope.get("client")
        self._server_state.note_request(
            request_state,
            endpoint=getattr(route, "path", "-"),
            method=method if method in _METHODS else "OTHER",
            seconds=seconds,
            peer=client[0] if client else "unix",
        )


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
        self._since_pause = 0

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
            self._since_pause += _PART_COST + len(message["body"])
            if self._since_pause > _MAX_WITHOUT_PAUSE:
                # A stream that never has to wait would keep everybody waiting, and not see its client go.
                self._since_pause = 0
                await asyncio.sleep(0)
