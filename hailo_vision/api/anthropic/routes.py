"""The routes of Anthropic's dialect. They hold no state: everything comes from `app.state`."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from hailo_common.web.body import read_json, release_body, until_disconnect
from hailo_common.web.state import server_state_of
from hailo_vision.api.answering import Asked, respond
from hailo_vision.api.anthropic.answers import Message
from hailo_vision.api.anthropic.errors import FORM, anthropic_format
from hailo_vision.api.anthropic.request import chat_request
from hailo_vision.api.chat_service import ChatService
from hailo_vision.api.fields import flag

TAG = "Anthropic"
PATH = "/v1/messages"


async def messages(request: Request) -> Response:
    """The next message of a conversation."""
    return await respond(request, _read, FORM)


async def _read(request: Request, service: ChatService, began: float) -> Asked:  # noqa: ARG001
    data = await read_json(request, limit=service.limits.body_bytes)
    service = service.resolve(data.get("model"))
    model, stream = service.catalogue.spelled(data.get("model")), flag(data, "stream")
    chat = chat_request(data, service)
    del data
    release_body(request)
    return Asked(chat, service, stream, lambda: Message(model))


async def count_tokens(request: Request) -> JSONResponse:
    """How many tokens a conversation is, which only the engine knows: it reads it, and answers nothing."""
    service: ChatService = request.app.state.chat_service
    began = time.monotonic()
    service.check()
    async with AsyncExitStack() as holding:
        asked = await _read(request, service, began)
        chat, service = holding.enter_context(asked.chat), asked.service
        await until_disconnect(request, service.fetch(chat.images))
        holding.enter_context(service.enter())
        counted = await until_disconnect(request, service.count(chat, holding))
        return JSONResponse({"input_tokens": counted})


def add_routes(app: FastAPI) -> None:
    """Add `/v1/messages` and `/v1/messages/count_tokens`."""
    state = server_state_of(app)
    state.error_formats[PATH] = anthropic_format
    state.aliases |= {"/messages": PATH, "/messages/": f"{PATH}/", "/anthropic/v1/": "/v1/"}
    for path, handler in ((PATH, messages), (f"{PATH}/count_tokens", count_tokens)):
        app.add_api_route(path, handler, methods=["POST"], response_model=None, tags=[TAG])
