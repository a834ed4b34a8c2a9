"""What Ollama's API tells of the models of this service."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from hailo_common.engine.contract import EngineInfo
from hailo_common.engine.pool import ServedModel
from hailo_vision.api.catalogue import abilities
from hailo_vision.api.chat_service import ChatService

ARCHITECTURE = "vision"
_NEVER = "9999-12-31T23:59:59Z"


def tags(service: ChatService) -> dict[str, Any]:
    """Every model under each of its names, the stable ones first."""
    table = service.catalogue.names()
    return {"models": [_entry(service, model, name) for model, names in table.items() for name in names]}


def running(service: ChatService) -> dict[str, Any]:
    """The models that are loaded, each once."""
    loaded = []
    for model, names in service.catalogue.names().items():
        info = model.engine.state.info
        if model.state == "loaded" and info is not None:
            more = {"expires_at": _NEVER, "size_vram": 0, "context_length": info.limits["max_model_len"]}
            loaded.append({**_entry(service, model, names[0]), **more})
    return {"models": loaded}


def show(service: ChatService, name: Any) -> dict[str, Any]:
    """All that is known of a model; raises as `Catalogue.spelled`."""
    spelled = service.catalogue.spelled(name)
    model = service.catalogue.find(spelled)
    info = model.engine.state.info
    context = info.limits["max_model_len"] if info else 0
    return {
        "modelfile": f"FROM {spelled}\n",
        "parameters": f"num_ctx {context}" if context else "",
        "template": "",
        "license": "",
        "details": _details(info),
        "model_info": {
            "general.architecture": ARCHITECTURE,
            "general.basename": info.model if info else spelled,
            **({f"{ARCHITECTURE}.context_length": context} if context else {}),
        },
        "capabilities": abilities(info),
        "modified_at": _modified(service),
    }


def _entry(service: ChatService, model: ServedModel, name: str) -> dict[str, Any]:
    info = model.engine.state.info
    seen = repr((name, info.fingerprint if info else None)).encode()
    return {
        "name": name,
        "model": name,
        "modified_at": _modified(service),
        "size": (model.place.held if model.place else 0) or 0,
        "digest": hashlib.sha256(seen).hexdigest(),
        "details": _details(info),
    }


def _details(info: EngineInfo | None) -> dict[str, Any]:
    backends = sorted({stage.backend for stage in info.stages}) if info else []
    return {
        "parent_model": "",
        "format": ", ".join(backends),
        "family": ARCHITECTURE,
        "families": [ARCHITECTURE],
        "parameter_size": "",
        "quantization_level": "",
    }


def _modified(service: ChatService) -> str:
    return datetime.fromtimestamp(service.catalogue.created, UTC).isoformat().replace("+00:00", "Z")
