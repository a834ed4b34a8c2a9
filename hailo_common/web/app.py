"""What both services start from: an app with error answers, limits, ids and logging, and the API page.

OPTIONS on every address: 204 with the methods there are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from hailo_common.errors import ServiceError
from hailo_common.web.access_log import CLIENT_GONE, AccessLog
from hailo_common.web.auth import RequireApiKey
from hailo_common.web.body import DrainBody
from hailo_common.web.errors import ErrorFormat, HttpRefusal, from_validation, render
from hailo_common.web.limits import HttpLimits
from hailo_common.web.origins import CheckHost, Cors
from hailo_common.web.state import ServerState, request_state_of, server_state_of


class AnswerOptions:
    """ASGI middleware: answers OPTIONS from the table of routes; an unknown address goes on to its 404."""

    def __init__(self, app: ASGIApp, *, routes: Sequence[BaseRoute]) -> None:
        self.app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it."""
        methods = self._methods(scope) if scope["type"] == "http" and scope["method"] == "OPTIONS" else set()
        if not methods:
            await self.app(scope, receive, send)
            return
        more = {"HEAD"} if "GET" in methods else set()
        allow = ", ".join(sorted({*methods, *more, "OPTIONS"}))
        await Response(status_code=204, headers={"allow": allow})(scope, receive, send)

    def _methods(self, scope: Scope) -> set[str]:
        found: set[str] = set()
        for route in self._routes:
            if route.matches({**scope, "method": "OPTIONS"})[0] is not Match.NONE:
                found |= getattr(route, "methods", None) or set()
        return found


_HTTP_KINDS = {
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address does not support the method."),
}


Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def make_base_app(
    *,
    title: str,
    version: str,
    shape: ErrorFormat,
    settings: HttpLimits,
    docs: bool,
    lifespan: Lifespan | None = None,
) -> FastAPI:
    """A FastAPI app with the whole front door in place and, with `docs`, the API page.

    Its `ServerState` is `app.state.server_state`; `lifespan` wraps its life, as FastAPI has it.
    """
    app = FastAPI(
        title=title,
        version=version,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json" if docs else None,
        # A redirect would be built from the Host header.
        redirect_slashes=False,
        lifespan=lifespan,
    )
    server_state = ServerState(shape=shape, settings=settings)
    app.state.server_state = server_state
    _register_handlers(app)
    # The last one added is the outermost.
    app.add_middleware(AnswerOptions, routes=app.routes)
    app.add_middleware(DrainBody, server_state=server_state)
    app.add_middleware(RequireApiKey, server_state=server_state)
    app.add_middleware(CheckHost, server_state=server_state)
    app.add_middleware(Cors, server_state=server_state)
    app.add_middleware(AccessLog, server_state=server_state)
    if docs:
        from hailo_common.web.docs_page import add_api_page  # noqa: PLC0415 (its assets are an optional package)

        add_api_page(app)
    return app


def _register_handlers(app: FastAPI) -> None:
    handlers: dict[Any, Any] = {
        ServiceError: _on_service_error,
        HTTPException: _on_http_exception,
        RequestValidationError: _on_validation,
        ValidationError: _on_validation,
        ClientDisconnect: _on_client_gone,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


def _answer(request: Request, error: ServiceError) -> Response:
    request_state_of(request.scope).code = error.code
    return render(server_state_of(request).shape, error)


async def _on_service_error(request: Request, error: ServiceError) -> Response:
    return _answer(request, error)


async def _on_http_exception(request: Request, error: HTTPException) -> Response:
    status = error.status_code
    code, message = _HTTP_KINDS.get(status, (f"http_{status}", "The request was refused."))
    return _answer(request, HttpRefusal(status, code, message, error.headers))


async def _on_validation(request: Request, error: RequestValidationError | ValidationError) -> Response:
    return _answer(request, from_validation(error.errors()))


async def _on_client_gone(request: Request, _error: ClientDisconnect) -> Response:
    request_state_of(request.scope).client_gone = True
    # Nobody receives it; the server wants an answer all the same.
    return Response(status_code=CLIENT_GONE)
