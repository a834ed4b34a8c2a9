"""The routes of the Responses API. What is kept of answers is `app.state.response_store`."""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from hailo_common.errors import NotFound, NotSupported
from hailo_common.web.body import read_json, release_body
from hailo_common.web.state import server_state_of
from hailo_vision.api.answering import Asked, respond
from hailo_vision.api.chat_service import ChatService
from hailo_vision.api.fields import flag
from hailo_vision.api.openapi import RESPONSE, TAG, add_post
from hailo_vision.api.responses.answers import ResponseWriter, form_of
from hailo_vision.api.responses.request import ResponseRequest, response_request
from hailo_vision.api.responses.store import OwnedResponses, ResponseStore, StoredResponse
from hailo_vision.api.tools.calls import Said
from hailo_vision.api.tools.history import read_arguments
from hailo_vision.protocol import Call, ChatMessage

PATH = "/v1/responses"
KEPT = "x-response-id"
"""The id of an answer that is kept, before the answer itself: a gateway learns by it which node has which."""


async def create(request: Request) -> Response:
    """An answer to a text or to a conversation, as the Responses API gives it."""
    numbers = itertools.count()

    async def read(request: Request, service: ChatService, began: float) -> Asked:
        return await _read(request, service, began, numbers)

    return await respond(request, read, form_of(numbers))


async def _read(request: Request, service: ChatService, began: float, numbers: Iterator[int]) -> Asked:
    store: ResponseStore = request.app.state.response_store
    data = await read_json(request, limit=service.limits.body_bytes)
    service = service.resolve(data.get("model"))
    model, stream = service.catalogue.spelled(data.get("model")), flag(data, "stream")
    asked = response_request(data, service, store)
    del data
    release_body(request)
    response_id = f"resp_{uuid.uuid4().hex}"
    keep = _Keeping(store.mine if asked.store else None, asked)

    def writer() -> ResponseWriter:
        return ResponseWriter(
            model, began, response_id=response_id, echo=asked.echo, numbers=numbers, keep=keep
        )

    return Asked(asked.chat, service, stream, writer, {KEPT: response_id} if asked.store else {})


class _Keeping:
    """Keeps the answer to one request, if that wants it; its images are open until the answer has ended."""

    def __init__(self, mine: OwnedResponses | None, asked: ResponseRequest) -> None:
        self._mine, self._asked = mine, asked

    def __call__(self, response_id: str, said: Said, value: dict[str, Any]) -> None:
        if self._mine is None:
            return
        calls = tuple(
            Call(call.name, read_arguments(call.arguments), f"call_{call.id}") for call in said.calls
        )
        answer = ChatMessage("assistant", (said.text,) if said.text or not calls else (), calls)
        sent = (image.encoded for image in self._asked.chat.images.images)
        images = [encoded.copy() for encoded in sent if encoded is not None]
        made = json.dumps(value, separators=(",", ":")).encode()
        self._mine.keep(response_id, StoredResponse((*self._asked.said, answer), images, made))


async def retrieve(request: Request, response_id: str) -> Response:
    """An answer that was given before."""
    return Response(_stored(request, response_id).answer, media_type="application/json")


async def delete(request: Request, response_id: str) -> JSONResponse:
    """Forget an answer."""
    _stored(request, response_id)
    request.app.state.response_store.mine.drop(response_id)
    return JSONResponse({"id": response_id, "object": "response", "deleted": True})


def _stored(request: Request, response_id: str) -> StoredResponse:
    store: ResponseStore = request.app.state.response_store
    stored = store.mine.get(response_id)
    if stored is None:
        raise NotFound(
            "There is no such answer here (any more): few are kept, in memory, and none of store: false.",
            code="response_not_found",
        )
    return stored


async def absent() -> None:
    """What this service does not do."""
    raise NotSupported("Answers are made while the client waits, and their items are not kept one by one.")


def add_routes(app: FastAPI) -> None:
    """Add `/v1/responses`, and what is done with an answer that was given."""
    app.state.response_store = ResponseStore()
    starts = ("/responses", "/openai/responses")
    server_state_of(app).aliases |= {start: PATH for start in starts}
    server_state_of(app).aliases |= {f"{start}/": f"{PATH}/" for start in starts}
    add_post(app, PATH, create, RESPONSE, "Answer a text or a conversation, by OpenAI's newer API")
    one = PATH + "/{response_id}"
    for method, handler in (("GET", retrieve), ("DELETE", delete)):
        app.add_api_route(one, handler, methods=[method], response_model=None, tags=[TAG])
    app.add_api_route(f"{one}/input_items", absent, methods=["GET"], include_in_schema=False)
    app.add_api_route(f"{one}/cancel", absent, methods=["POST"], include_in_schema=False)
    app.add_api_route(f"{PATH}/input_tokens", absent, methods=["POST"], include_in_schema=False)
