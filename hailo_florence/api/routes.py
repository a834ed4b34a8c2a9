"""The routes of hailo-florence. They hold no state: everything comes from `app.state`."""

from __future__ import annotations

import time
from typing import Any

from fastapi import FastAPI, Request

from hailo_common.web.body import until_disconnect
from hailo_florence.api.caption_service import CaptionService, inference_time_ms
from hailo_florence.api.request import (
    ERRORS,
    CaptionFields,
    CaptionReply,
    VqaFields,
    VqaReply,
    read_request,
    request_body,
)
from hailo_florence.protocol import FlorenceResult, Task


def add_routes(app: FastAPI, service: CaptionService) -> None:
    """Add the two inference routes over `service`."""
    app.state.caption_service = service
    for path, handler, reply, fields, summary in (
        ("/v1/caption", caption, CaptionReply, CaptionFields, "Describe an image"),
        ("/v1/vqa", vqa, VqaReply, VqaFields, "Answer a question about an image"),
    ):
        app.add_api_route(
            path,
            handler,
            methods=["POST"],
            response_model=reply,
            responses=ERRORS,
            openapi_extra=request_body(fields),
            summary=summary,
            tags=["Florence-2"],
        )


async def caption(request: Request) -> CaptionReply:
    """A short caption. The image comes as a data URI in JSON, or as a file in a form."""
    result = await _result(request, "caption")
    return CaptionReply(caption=result.text, **_facts(request, result))


async def vqa(request: Request) -> VqaReply:
    """The answer to a question about an image."""
    result = await _result(request, "vqa")
    return VqaReply(answer=result.text, **_facts(request, result))


async def _result(request: Request, task: Task) -> FlorenceResult:
    service: CaptionService = request.app.state.caption_service
    began = time.monotonic()
    with service.queue.admit():
        asked = await read_request(request, task, max_image_bytes=service.decoder.limits.max_bytes)
        with asked.image:
            result = await until_disconnect(request, service.answer(asked))
    service.metrics.note_answer(time.monotonic() - began)
    return result


def _facts(request: Request, result: FlorenceResult) -> dict[str, Any]:
    """What every reply carries."""
    service: CaptionService = request.app.state.caption_service
    return {
        "inference_time_ms": inference_time_ms(result),
        "model": service.info.model,
        "token_count": result.completion_tokens,
    }
