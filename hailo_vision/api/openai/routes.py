"""The routes of OpenAI's dialect. They hold no state: everything comes from `app.state`."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from hailo_common.errors import NotFound
from hailo_vision.api.chat_service import ChatService
from hailo_vision.api.openai.analyze import analyze
from hailo_vision.api.openai.chat import chat_completions
from hailo_vision.api.openapi import ANALYZE, CHAT, TAG, add_post


async def models(request: Request) -> JSONResponse:
    """The one model of this service."""
    return JSONResponse({"object": "list", "data": [_entry(request.app.state.chat_service)]})


async def model(request: Request, name: str) -> JSONResponse:
    """The model, by any of its names."""
    service: ChatService = request.app.state.chat_service
    entry = _entry(service)
    try:
        service.check_model(name)
    except NotFound as error:
        error.param = None
        raise
    return JSONResponse(entry)


def _entry(service: ChatService) -> dict[str, Any]:
    info = service.info
    context = info.limits["max_model_len"]
    return {
        "id": info.model,
        "object": "model",
        "created": service.catalogue.created,
        "owned_by": "hailo-vision",
        "aliases": [alias for alias in service.catalogue.aliases if alias != info.model],
        "description": info.description,
        "demo": info.demo,
        "max_model_len": context,
        "meta": {"n_ctx": context},
        "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
        "capabilities": ["completion", "vision"],
        "limits": dict(info.limits),
    }


def add_routes(app: FastAPI) -> None:
    """Add `/v1/chat/completions`, `/v1/vision/analyze` and `/v1/models`."""
    add_post(app, "/v1/chat/completions", chat_completions, CHAT, "Answer a conversation")
    add_post(app, "/v1/vision/analyze", analyze, ANALYZE, "Ask one thing about several images")
    app.add_api_route("/v1/models", models, methods=["GET"], summary="The model", tags=[TAG])
    app.add_api_route(
        "/v1/models/{name:path}", model, methods=["GET"], summary="The model by name", tags=[TAG]
    )
