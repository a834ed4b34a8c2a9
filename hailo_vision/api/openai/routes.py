"""The routes of OpenAI's dialect. They hold no state: everything comes from `app.state`."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from hailo_common.engine.contract import EngineInfo
from hailo_common.engine.pool import ServedModel
from hailo_common.errors import NotFound, NotSupported
from hailo_common.web.state import server_state_of
from hailo_vision.api.catalogue import abilities
from hailo_vision.api.chat_service import ChatService
from hailo_vision.api.openai.analyze import analyze
from hailo_vision.api.openai.chat import chat_completions
from hailo_vision.api.openai.completions import completions
from hailo_vision.api.openapi import ANALYZE, CHAT, COMPLETION, TAG, add_post

AZURE = "/openai/deployments/{deployment}"
"""Where Azure has what is asked of a model, which the address names."""
_MAIN = ("/chat/completions", "/completions", "/vision/analyze", "/models")
_ABSENT = (
    *("embeddings", "moderations", "images/generations", "images/edits"),
    *("audio/speech", "audio/transcriptions", "audio/translations"),
)
"""What OpenAI offers besides, and no model here can do."""
_FLORENCES = ("caption", "vqa", "detect", "ground", "segment", "region", "ocr", "tasks/{task}")
_HINT = "This service chats about images; captions and tasks are hailo-florence's, usually on port 11438."
"""What is asked of the wrong one of two services, and where it is."""
ALIASES = {
    **{path: f"/v1{path}" for path in _MAIN},
    **{f"/{path}": f"/v1/{path}" for path in _ABSENT},
    "/models/": "/v1/models/",
    "/v1": "/",
    # Base URLs with one /v1 too many, and where other servers have theirs.
    **{start: "/v1/" for start in ("/v1/v1/", "/openai/v1/", "/api/v1/", "/v1/openai/")},
    # Open WebUI's own, which LLM Vision knows.
    "/api/chat/completions": "/v1/chat/completions",
    "/api/models": "/v1/models",
    # Azure's.
    "/openai/models": "/v1/models",
    "/openai/models/": "/v1/models/",
}


async def models(request: Request) -> JSONResponse:
    """The models of this service under all their names, each one's stable name first."""
    service: ChatService = request.app.state.chat_service
    table = service.catalogue.names()
    data = [_entry(service, model, name, names) for model, names in table.items() for name in names]
    return JSONResponse({"object": "list", "data": data})


async def model(request: Request, name: str) -> JSONResponse:
    """A model, by any of its names."""
    service: ChatService = request.app.state.chat_service
    try:
        spelled = service.catalogue.spelled(name)
    except NotFound as error:
        error.param = None
        raise
    found = service.catalogue.find(spelled)
    return JSONResponse(_entry(service, found, spelled, service.catalogue.names()[found]))


def _entry(service: ChatService, model: ServedModel, name: str, names: list[str]) -> dict[str, Any]:
    """A model under one of its names; `root` is its own, and the `parent` of every alias."""
    info = model.engine.state.info
    own = (not service.pool.several and info and info.model) or model.name
    entry = {
        "id": name,
        "object": "model",
        "created": service.catalogue.created,
        "owned_by": "hailo-vision",
        "root": own,
        "parent": None if name == own else own,
        "aliases": [known for known in names if known != name],
        "state": model.state,
        "architecture": {"input_modalities": _inputs(info), "output_modalities": ["text"]},
        "capabilities": abilities(info),
    }
    if model.state == "failed":
        entry["reason"] = model.reason
    return entry | (_facts(info) if info else {})


def _inputs(info: EngineInfo | None) -> list[str]:
    return ["text", "image"] if "vision" in abilities(info) else ["text"]


def _facts(info: EngineInfo) -> dict[str, Any]:
    """What is known of a model that was loaded once."""
    context = info.limits["max_model_len"]
    return {
        "description": info.description,
        "demo": info.demo,
        "max_model_len": context,
        "meta": {"n_ctx": context},
        "limits": dict(info.limits),
    }


async def absent() -> None:
    """What this service does not do."""
    raise NotSupported("This service answers questions about images, in words: it does nothing of this kind.")


async def elsewhere() -> None:
    """What hailo-florence does."""
    raise NotFound(_HINT, code="other_service")


def add_routes(app: FastAPI) -> None:
    """Add `/v1/chat/completions`, `/v1/completions`, `/v1/vision/analyze` and `/v1/models`."""
    server_state_of(app).aliases |= ALIASES
    add_post(app, "/v1/chat/completions", chat_completions, CHAT, "Answer a conversation")
    # What LLM Vision asks where its user has typed the address alone.
    app.add_api_route("/", chat_completions, methods=["POST"], response_model=None, include_in_schema=False)
    add_post(app, f"{AZURE}/chat/completions", chat_completions, CHAT, "Answer a conversation, as Azure")
    add_post(app, "/v1/completions", completions, COMPLETION, "Answer a prompt, by OpenAI's older API")
    add_post(app, f"{AZURE}/completions", completions, COMPLETION, "Answer a prompt, as Azure")
    for path in _ABSENT:
        for start in ("/v1", AZURE):
            app.add_api_route(f"{start}/{path}", absent, methods=["POST"], include_in_schema=False)
    for path in _FLORENCES:
        app.add_api_route(f"/v1/{path}", elsewhere, methods=["POST"], include_in_schema=False)
    add_post(app, "/v1/vision/analyze", analyze, ANALYZE, "Ask one thing about several images")
    app.add_api_route("/v1/models", models, methods=["GET"], summary="The models", tags=[TAG])
    app.add_api_route("/v1/models/{name:path}", model, methods=["GET"], summary="A model by name", tags=[TAG])
