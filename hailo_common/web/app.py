"""What both services start from: an app with error answers, limits, ids and logging, and the API page."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from hailo_common.errors import ServiceError
from hailo_common.web.addresses import ExactRoutes, nearest, shown_path
from hailo_common.web.errors import ErrorFormat, HttpRefusal, from_validation, render
from hailo_common.web.limits import HttpLimits
from hailo_common.web.middleware import RequestMiddleware
from hailo_common.web.page.assets import add_page
from hailo_common.web.page.seen import SeenImages, add_seen_route
from hailo_common.web.state import CLIENT_GONE, ServerState, request_state_of, server_state_of

_DOCS = ("/docs", "/redoc", "/openapi.json")
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def make_base_app(
    *,
    title: str,
    version: str,
    error_format: ErrorFormat,
    limits: HttpLimits,
    docs: bool,
    page: bool = False,
    lifespan: Lifespan | None = None,
) -> FastAPI:
    """A FastAPI app with everything but its routes and, with `docs`, the API page, with `page`, the page.

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
    server_state = ServerState(error_format=error_format, limits=limits)
    app.state.server_state = server_state
    _register_handlers(app)
    seen = SeenImages()
    app.router.routes.insert(0, ExactRoutes(app.router.routes))
    app.add_middleware(RequestMiddleware, server_state=server_state, routes=app.routes, seen=seen)
    if page:
        server_state.page = add_page(app)
        add_seen_route(app, seen)
    if docs:
        from hailo_common.web.docs_page import add_api_page  # noqa: PLC0415 (its assets are an optional package)

        add_api_page(app, with_keys=bool(limits.keys))
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
    return render(server_state_of(request).format_for(request.url.path), error)


async def _on_service_error(request: Request, error: ServiceError) -> Response:
    return _answer(request, error)


async def _on_http_exception(request: Request, error: HTTPException) -> Response:
    status = error.status_code
    if status == 404:
        refusal = _nothing_there(request)
    elif status == 405:
        allowed = (error.headers or {}).get("Allow", "other methods")
        message = f"{shown_path(request.url.path)} takes {allowed}, not this method."
        refusal = HttpRefusal(405, "method_not_allowed", message, error.headers)
    else:
        refusal = HttpRefusal(status, f"http_{status}", "The request was refused.", error.headers)
    return _answer(request, refusal)


def _nothing_there(request: Request) -> HttpRefusal:
    """The answer for an unknown address: which one it is, and which one may have been meant."""
    shown = shown_path(request.url.path)
    request_state_of(request.scope).path = shown
    known = [route.path for route in request.app.routes if isinstance(route, APIRoute)]
    near = nearest(request.url.path, known)
    hint = f"; did you mean {near}?" if near else "."
    if shown.startswith(_DOCS):
        hint = "; the API page is off (docs: true in the configuration turns it on)."
    return HttpRefusal(404, "not_found", f"There is nothing at {shown}{hint}")


async def _on_validation(request: Request, error: RequestValidationError | ValidationError) -> Response:
    return _answer(request, from_validation(error.errors()))


async def _on_client_gone(request: Request, _error: ClientDisconnect) -> Response:
    request_state_of(request.scope).client_gone = True
    # Nobody receives it; the server wants an answer all the same.
    return Response(status_code=CLIENT_GONE)
