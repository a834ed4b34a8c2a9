"""The routes of hailo-florence. They hold no state: everything comes from `app.state`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from hailo_common.errors import NotFound
from hailo_common.web.state import server_state_of
from hailo_florence.api.answering import Facts, respond
from hailo_florence.api.caption_service import CaptionService
from hailo_florence.api.fields import (
    CaptionFields,
    DetectFields,
    GroundFields,
    OcrFields,
    RegionFields,
    SegmentFields,
    TaskFields,
    VqaFields,
)
from hailo_florence.api.replies import (
    ERRORS,
    CaptionReply,
    ObjectsReply,
    OcrReply,
    TaskEntry,
    TaskReply,
    TasksReply,
    TextReply,
    VqaReply,
    answers,
    as_reference,
    caption_reply,
    objects_reply,
    ocr_reply,
    request_body,
    text_reply,
    vqa_reply,
)
from hailo_florence.api.request import task_named
from hailo_florence.protocol import TASKS, FlorenceResult, obstacle

_TAG = "Florence-2"


_HINT = "This service captions images and has no chat; that is hailo-vision's, usually on port 11435."
_CHAT = (
    *("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"),
    *("/api/chat", "/api/generate"),
)
"""Where clients look for a chat."""
_TASKS = ("caption", "vqa", "detect", "ground", "segment", "ocr", "region")
ALIASES = {
    **{f"/{name}": f"/v1/{name}" for name in (*_TASKS, "tasks", "models", "chat/completions")},
    **{start: "/v1/" for start in ("/v1/v1/", "/api/v1/")},
    "/v1": "/",
}
_STARTED = int(datetime.now(UTC).timestamp())
"""Seconds since 1970, for stamps in answers."""


def add_routes(app: FastAPI, service: CaptionService) -> None:
    """Add the inference routes over `service`."""
    app.state.caption_service = service
    server_state_of(app).aliases |= ALIASES
    for path, handler, reply, fields, summary in (
        ("/v1/caption", caption, CaptionReply, CaptionFields, "Describe an image"),
        ("/v1/vqa", vqa, VqaReply, VqaFields, "Answer a question about an image"),
        ("/v1/detect", detect, ObjectsReply, DetectFields, "Find things in an image"),
        ("/v1/ground", ground, ObjectsReply, GroundFields, "Find what a caption speaks of"),
        ("/v1/segment", segment, ObjectsReply, SegmentFields, "Outline a thing"),
        ("/v1/ocr", ocr, OcrReply, OcrFields, "Read the text in an image"),
        ("/v1/region", region, TextReply, RegionFields, "Say what is in a box"),
        ("/v1/tasks/{task}", raw_task, TaskReply, TaskFields, "Any task of the model"),
    ):
        app.add_api_route(
            path,
            handler,
            methods=["POST"],
            response_model=None,
            responses={200: answers(reply), **ERRORS},
            openapi_extra=request_body(fields),
            summary=summary,
            tags=[_TAG],
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
    for path in _CHAT:
        app.add_api_route(path, no_chat, methods=["POST"], include_in_schema=False)


async def caption(request: Request) -> Response:
    """A caption. The image comes as a data URI in JSON, or as a file in a form; `images` are several."""
    return await respond(request, CaptionFields, caption_reply)


async def vqa(request: Request) -> Response:
    """The answer to a question about an image."""
    return await respond(request, VqaFields, vqa_reply)


async def detect(request: Request) -> Response:
    """Things with their boxes: of known categories, with descriptions, without labels, or as a text says."""
    return await respond(request, DetectFields, objects_reply)


async def ground(request: Request) -> Response:
    """The phrases of a caption with the boxes of what they speak of."""
    return await respond(request, GroundFields, objects_reply)


async def segment(request: Request) -> Response:
    """The outline of what a text names, or of what is in a box."""
    return await respond(request, SegmentFields, objects_reply)


async def ocr(request: Request) -> Response:
    """The text in an image or in a box of it, with the corners around each text where asked for."""
    return await respond(request, OcrFields, ocr_reply)


async def region(request: Request) -> Response:
    """The category or a description of what is in a box."""
    return await respond(request, RegionFields, text_reply)


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
    return JSONResponse({"object": "list", "data": [_entry(request)], "hint": _HINT})


async def model(request: Request, name: str) -> JSONResponse:
    """The model by its name."""
    entry = _entry(request)
    if name.casefold() != str(entry["id"]).casefold():
        message = f"There is no such model here; this service has {entry['id']}."
        raise NotFound(message, code="model_not_found")
    return JSONResponse({**entry, "hint": _HINT})


async def no_chat() -> None:
    """Where the chat is."""
    raise NotFound(_HINT, code="no_chat_here")


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
