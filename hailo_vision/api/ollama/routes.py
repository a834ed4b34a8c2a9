"""The routes of Ollama's dialect. They hold no state: everything comes from `app.state`."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from hailo_common import __version__
from hailo_common.errors import NotFound, NotSupported
from hailo_common.web.body import read_json, release_body, until_disconnect
from hailo_common.web.state import server_state_of
from hailo_common.web.streams.event_stream import NDJSON, line
from hailo_vision.api.answering import Asked, respond_to
from hailo_vision.api.chat_service import ChatService
from hailo_vision.api.fields import Data, refused
from hailo_vision.api.ollama.answers import OllamaAnswer
from hailo_vision.api.ollama.errors import FORM, ollama_format
from hailo_vision.api.ollama.models import running, show, tags
from hailo_vision.api.ollama.request import OllamaRequest, chat_request, generate_request

TAG = "Ollama"
SPOKEN = "0.14.0"
"""The release of Ollama in which all dialects were there that this service has. Clients compare it with what
they need: Copilot in VS Code asks for 0.6.4, and refuses what is older.
"""
_SMALL = 64 * 1024
_ABSENT = ("embed", "embeddings", "create", "copy", "delete", "push")


def _service(request: Request) -> ChatService:
    service: ChatService = request.app.state.chat_service
    return service


async def _answer(
    request: Request, read: Callable[[Data, ChatService], OllamaRequest], *, chat: bool
) -> Response:
    service, began = _service(request), time.monotonic()
    service.check()
    async with AsyncExitStack() as holding:
        data = await read_json(request, limit=service.limits.body_bytes)
        asked = read(data, service.resolve(data.get("model")))
        del data
        release_body(request)
        writer = OllamaAnswer(asked.model, began, chat=chat)
        if asked.keep_s is not None and asked.service.pool.several:
            asked.service.keep(asked.keep_s)
        if asked.chat is None:
            return await _load(request, asked, writer)
        holding.enter_context(asked.chat)
        wanted = Asked(asked.chat, asked.service, asked.stream, lambda: writer)
        return await respond_to(request, wanted, began, FORM, holding)


async def _load(request: Request, asked: OllamaRequest, writer: OllamaAnswer) -> Response:
    """A request without a prompt loads the model; with `keep_alive: 0` it unloads one of several."""
    unloads = asked.keep_s == 0 and asked.service.pool.several
    if not unloads:
        with asked.service.enter():
            await until_disconnect(request, asked.service.known())
    answer = writer.loaded("unload" if unloads else "load")
    return Response(line(answer), media_type=NDJSON) if asked.stream else JSONResponse(answer)


async def chat(request: Request) -> Response:
    """The next message of a conversation."""
    return await _answer(request, chat_request, chat=True)


async def generate(request: Request) -> Response:
    """An answer to a prompt, with its images."""
    return await _answer(request, generate_request, chat=False)


async def list_tags(request: Request) -> JSONResponse:
    """The models of this service."""
    return JSONResponse(tags(_service(request)))


async def list_running(request: Request) -> JSONResponse:
    """The models that are loaded."""
    return JSONResponse(running(_service(request)))


async def show_model(request: Request) -> JSONResponse:
    """All that is known of a model."""
    data = await read_json(request, limit=_SMALL)
    return JSONResponse(show(_service(request), _name(data)))


async def version(request: Request) -> JSONResponse:  # noqa: ARG001
    """The Ollama of which clients may expect as much, and this service's own version."""
    return JSONResponse({"version": SPOKEN, "hailo_vision": __version__})


async def pull(request: Request) -> Response:
    """Success for a model that is here; of any other it is told how it gets here."""
    data = await read_json(request, limit=_SMALL)
    try:
        _service(request).catalogue.spelled(_name(data))
    except NotFound as error:
        raise NotFound(
            f"{error.message} Models get here by the operator's hand: sudo hailo-ctl models list, then "
            "sudo hailo-ctl models fetch NAME.",
            code=error.code,
        ) from None
    steps: list[dict[str, Any]] = [{"status": "pulling manifest"}, {"status": "success"}]
    if data.get("stream") is False:
        return JSONResponse(steps[-1])
    return Response(b"".join(map(line, steps)), media_type=NDJSON)


def _name(data: Data) -> str:
    name = data.get("model") or data.get("name")
    if not isinstance(name, str) or not name:
        raise refused("model", "model is required.")
    return name


async def absent() -> None:
    """What this service does not do."""
    raise NotSupported(
        "This service answers questions about images; it has no embeddings and changes no model."
    )


def add_routes(app: FastAPI) -> None:
    """Add `/api/chat`, `/api/generate` and what Ollama's clients ask besides."""
    server_state_of(app).error_formats["/api/"] = ollama_format
    server_state_of(app).aliases["/v1/api/"] = "/api/"
    for path, handler in (("chat", chat), ("generate", generate), ("show", show_model), ("pull", pull)):
        app.add_api_route(f"/api/{path}", handler, methods=["POST"], response_model=None, tags=[TAG])
    for path, told in (("tags", list_tags), ("ps", list_running)):
        app.add_api_route(f"/api/{path}", told, methods=["GET"], response_model=None, tags=[TAG])
    app.add_api_route("/api/version", version, methods=["GET"], response_model=None, tags=[TAG])
    for path in _ABSENT:
        methods = ["POST", "DELETE"] if path == "delete" else ["POST"]
        app.add_api_route(f"/api/{path}", absent, methods=methods, include_in_schema=False)
