"""`GET /props`: how long the context is, and what the model reads."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from hailo_common import __version__
from hailo_common.web.state import server_state_of
from hailo_vision.api.chat_service import ChatService

TAG = "llama.cpp"


async def props(request: Request) -> JSONResponse:
    """The properties of a model, by default of the first; raises NotReady before it was ever loaded."""
    service: ChatService = request.app.state.chat_service
    name = service.catalogue.spelled(request.query_params.get("model"))
    return JSONResponse(_props(service.resolve(name), name))


def _props(service: ChatService, name: str) -> dict[str, Any]:
    info = service.info
    context = info.limits["max_model_len"]
    params = {"n_predict": service.limits.max_new_tokens, "temperature": service.limits.temperature}
    return {
        "default_generation_settings": {"n_ctx": context, "params": params},
        "total_slots": info.parallel,
        "model_alias": name,
        # A path of this machine is nobody's business.
        "model_path": info.model,
        "modalities": {"vision": info.capabilities["vision"], "audio": False},
        "chat_template": "",
        "bos_token": "",
        "eos_token": "",
        "build_info": f"hailo-vision {__version__}",
    }


def add_routes(app: FastAPI) -> None:
    """Add `/props`, also below `/v1`."""
    server_state_of(app).aliases |= {"/v1/props": "/props", "/api/v1/props": "/props"}
    app.add_api_route("/props", props, methods=["GET"], response_model=None, tags=[TAG])
