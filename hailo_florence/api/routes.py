"""The routes of hailo-florence. They hold no state: everything comes from `app.state`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from hailo_common.errors import NotFound
from hailo_common.web.state import server_state_of
from hailo_florence.api.answering import Facts, respond
from hailo_florence.api.caption_service import CaptionService
from hailo_florence.api.fields import Fields, TaskFields
from hailo_florence.api.kinds import KINDS, Kind
from hailo_florence.api.no_chat import HINT, add_no_chat
from hailo_florence.api.replies import (
    ERRORS,
    Reply,
    TaskEntry,
    TaskReply,
    TasksReply,
    answers,
    as_reference,
    request_body,
)
from hailo_florence.api.request import task_named
from hailo_florence.protocol import TASKS, FlorenceResult, obstacle

_TAG = "Florence-2"


_ASKED = tuple(kind.name for kind in KINDS)
ALIASES = {
    **{f"/{name}": f"/v1/{name}" for name in (*_ASKED, "tasks", "models", "chat/completions")},
    **{start: "/v1/" for start in ("/v1/v1/", "/api/v1/")},
    "/v1": "/",
}
_STARTED = int(datetime.now(UTC).timestamp())
"""Seconds since 1970, for stamps in answers."""


def add_routes(app: FastAPI, service: CaptionService) -> None:
    """Add the inference routes over `service`."""
    app.state.caption_service = service
    server_state_of(app).aliases |= ALIASES
    for kind in KINDS:
        app.add_api_route(
            f"/v1/{kind.name}",
            _answering(kind),
            name=kind.name,
            summary=kind.summary,
            description=kind.description,
            **_asking(kind.fields, kind.reply),
        )
    app.add_api_route(
        "/v1/tasks/{task}", raw_task, summary="Any task of the model", **_asking(TaskFields, TaskReply)
    )
    app.add_api_route(
        "/v1/tasks",
        tasks,
        methods=["GET"],
        response_model=TasksReply,
        response_model_exclude_none=True,
        summary="What the loaded model can do",
        tags=[_TAG],
    )
    app.add_api_route("/v1/models", models, methods=["GET"], summary="The model", tags=[_TAG])
    app.add_api_route("/v1/models/{name:path}", model, methods=["GET"], summary="The same", tags=[_TAG])
    add_no_chat(app)


def _asking(fields: type[Fields], reply: type[Reply]) -> dict[str, Any]:
    """What all routes have that ask about images."""
    return {
        "methods": ["POST"],
        "response_model": None,
        "responses": {200: answers(reply), **ERRORS},
        "openapi_extra": request_body(fields),
        "tags": [_TAG],
    }


def _answering(kind: Kind) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        return await respond(request, kind.fields, kind.write)

    return answer


async def raw_task(request: Request, task: str) -> Response:
    """A task by its name (`od`) or token (`<OD>`), answered as the reference implementation answers."""
    name = task_named(task)

    def write(result: FlorenceResult, _: TaskFields, facts: Facts) -> TaskReply:
        return TaskReply(
            task=TASKS[name].token,
            text=result.raw,
            result=as_reference(name, result),
            finish_reason=result.finish_reason,
            **facts,
        )

    return await respond(request, TaskFields, write, name)


async def models(request: Request) -> JSONResponse:
    """The model as OpenAI's clients list it, and where the chat is that they look for."""
    return JSONResponse({"object": "list", "data": [_entry(request)], "hint": HINT})


async def model(request: Request, name: str) -> JSONResponse:
    """The model by its name."""
    entry = _entry(request)
    if name.casefold() != str(entry["id"]).casefold():
        message = f"There is no such model here; this service has {entry['id']}."
        raise NotFound(message, code="model_not_found")
    return JSONResponse({**entry, "hint": HINT})


def _entry(request: Request) -> dict[str, Any]:
    info = _service(request).info
    return {
        "id": info.model,
        "object": "model",
        "created": _STARTED,
        "owned_by": "hailo-florence",
        "description": info.description,
        "demo": info.demo,
        "capabilities": ["vision"],
    }


async def tasks(request: Request) -> TasksReply:
    """Every task, and which of them the loaded model and its backend can do."""
    info = _service(request).info
    entries = [
        TaskEntry(
            name=name,
            task=spec.token,
            prompt=spec.prompt,
            takes=spec.takes,
            gives=spec.gives,
            available=not obstacle(name, info),
            reason=obstacle(name, info) or None,
        )
        for name, spec in TASKS.items()
    ]
    return TasksReply(model=info.model, tasks=entries)


def _service(request: Request) -> CaptionService:
    service: CaptionService = request.app.state.caption_service
    return service
