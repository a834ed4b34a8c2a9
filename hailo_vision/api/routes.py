"""The routes of hailo-vision. Holds no state: everything comes from `app.state`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from hailo_common.errors import NotFound, NotReady
from hailo_vision.api.analyze import analyze
from hailo_vision.api.chat import chat_completions
from hailo_vision.api.chat_service import ChatService
from hailo_vision.api.openapi import ANALYZE, CHAT, ERRORS


def add_routes(app: FastAPI, worker: ChatService) -> None:
    """Add the model's routes over `worker`."""
    app.state.worker = worker
    posts: tuple[tuple[str, Callable[..., Any], dict[str, Any], str], ...] = (
        ("/v1/chat/completions", chat_completions, CHAT, "Answer a conversation"),
        ("/v1/vision/analyze", analyze, ANALYZE, "Ask one thing about several pictures"),
    )
    for path, handler, body, summary in posts:
        app.add_api_route(
            path,
            handler,
            methods=["POST"],
            response_model=None,
            responses=ERRORS,
            openapi_extra={"requestBody": body},
            summary=summary,
            tags=["Qwen2-VL"],
        )
    app.add_api_route("/v1/models", models, methods=["GET"], summary="The model", tags=["Qwen2-VL"])
    app.add_api_route(
        "/v1/models/{name:path}", model, methods=["GET"], summary="The model by name", tags=["Qwen2-VL"]
    )


async def models(request: Request) -> JSONResponse:
    """The one model of this service."""
    return JSONResponse({"object": "list", "data": [_entry(request)]})


async def model(request: Request, name: str) -> JSONResponse:
    """The model, by any of its names."""
    entry = _entry(request)
    worker: ChatService = request.app.state.worker
    try:
        worker.check_model(name)
    except NotFound as error:
        error.param = None
        raise
    return JSONResponse(entry)


def _entry(request: Request) -> dict[str, Any]:
    worker: ChatService = request.app.state.worker
    if not worker.info:
        reason = worker.queue.engine.state.reason
        raise NotReady(f"The model is not ready: {reason}.", retry_after=5)
    return worker.catalogue.entry(worker.info)
