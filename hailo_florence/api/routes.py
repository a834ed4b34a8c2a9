"""The routes of hailo-florence. They hold no state: everything comes from `app.state`."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from hailo_common.web.body import until_disconnect
from hailo_florence.api.caption_service import CaptionService, inference_time_ms
from hailo_florence.api.fields import (
    CaptionFields,
    DetectFields,
    Fields,
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
    as_reference,
    ocr_text,
    request_body,
)
from hailo_florence.api.request import read_request, task_named
from hailo_florence.protocol import TASKS, FlorenceResult, obstacle

F = TypeVar("F", bound=Fields)
_TAG = "Florence-2"


_STARTED = int(datetime.now(UTC).timestamp())
"""Seconds since 1970, for stamps in answers."""


def add_routes(app: FastAPI, service: CaptionService) -> None:
    """Add the inference routes over `service`."""
    app.state.caption_service = service
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
            response_model=reply,
            response_model_exclude_none=True,
            responses=ERRORS,
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


async def caption(request: Request) -> CaptionReply:
    """A caption. The image comes as a data URI in JSON, or as a file in a form."""
    result, _ = await _result(request, CaptionFields)
    return CaptionReply(caption=result.text, **_facts(request, result))


async def vqa(request: Request) -> VqaReply:
    """The answer to a question about an image."""
    result, _ = await _result(request, VqaFields)
    return VqaReply(answer=result.text, **_facts(request, result))


async def detect(request: Request) -> ObjectsReply:
    """Things with their boxes: of known categories, with descriptions, without labels, or as a text says."""
    return await _objects(request, DetectFields)


async def ground(request: Request) -> ObjectsReply:
    """The phrases of a caption with the boxes of what they speak of."""
    return await _objects(request, GroundFields)


async def segment(request: Request) -> ObjectsReply:
    """The outline of what a text names, or of what is in a box."""
    return await _objects(request, SegmentFields)


async def ocr(request: Request) -> OcrReply:
    """The text in an image or in a box of it, with the corners around each text where asked for."""
    result, fields = await _result(request, OcrFields)
    places: Any = result.places if fields.regions else None
    facts = _facts(request, result)
    return OcrReply(text=ocr_text(result), objects=places, finish_reason=result.finish_reason, **facts)


async def region(request: Request) -> TextReply:
    """The category or a description of what is in a box."""
    result, _ = await _result(request, RegionFields)
    return TextReply(text=result.text, **_facts(request, result))


async def raw_task(request: Request, task: str) -> TaskReply:
    """A task by its name (`od`) or token (`<OD>`), answered as the reference implementation answers."""
    name = task_named(task)
    result, _ = await _result(request, TaskFields, name)
    return TaskReply(
        task=TASKS[name].token,
        text=result.raw,
        result=as_reference(name, result),
        finish_reason=result.finish_reason,
        **_facts(request, result),
    )


async def models(request: Request) -> JSONResponse:
    """The model as OpenAI's clients list it, and where the chat is that they look for."""
    info = _service(request).info
    entry = {
        "id": info.model,
        "object": "model",
        "created": _STARTED,
        "owned_by": "hailo-florence",
        "description": info.description,
        "demo": info.demo,
        "capabilities": ["vision"],
    }
    hint = "This service captions images and has no chat; that is hailo-vision's, usually on port 11435."
    return JSONResponse({"object": "list", "data": [entry], "hint": hint})


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


async def _objects(request: Request, kind: type[Fields]) -> ObjectsReply:
    result, _ = await _result(request, kind)
    places: Any = result.places
    return ObjectsReply(objects=places, finish_reason=result.finish_reason, **_facts(request, result))


async def _result(request: Request, kind: type[F], task: str | None = None) -> tuple[FlorenceResult, F]:
    service = _service(request)
    began = time.monotonic()
    service.queue.check()
    limit = service.decoder.limits.max_bytes
    asked, fields = await read_request(request, kind, max_image_bytes=limit, task=task)
    with asked.image, service.queue.admit():
        result = await until_disconnect(request, service.answer(asked))
    service.metrics.note_answer(time.monotonic() - began)
    return result, fields


def _service(request: Request) -> CaptionService:
    service: CaptionService = request.app.state.caption_service
    return service


def _facts(request: Request, result: FlorenceResult) -> dict[str, Any]:
    """What every reply carries."""
    return {
        "inference_time_ms": inference_time_ms(result),
        "model": _service(request).info.model,
        "token_count": result.completion_tokens,
    }
