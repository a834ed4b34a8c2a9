"""The routes of hailo-florence. Holds no state: everything comes from `app.state`."""

from __future__ import annotations

import time

from fastapi import FastAPI, Request

from hailo_common.web.disconnect import until_disconnect
from hailo_florence.api.caption_service import CaptionResult, CaptionService, Task
from hailo_florence.api.request import read_request
from hailo_florence.api.schemas import (
    ERRORS,
    CaptionFields,
    CaptionReply,
    VqaFields,
    VqaReply,
    request_body,
)


def add_routes(app: FastAPI, worker: CaptionService) -> None:
    """Add the two inference routes over `worker`."""
    app.state.worker = worker
    for path, handler, reply, fields, summary in (
        ("/v1/caption", caption, CaptionReply, CaptionFields, "Describe a picture"),
        ("/v1/vqa", vqa, VqaReply, VqaFields, "Answer a question about a picture"),
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
    """A short caption. The picture comes as a data URI in JSON, or as a file in a form."""
    answer = await _answer(request, "caption")
    return CaptionReply(
        caption=answer.text,
        inference_time_ms=answer.inference_time_ms,
        model=answer.model,
        token_count=answer.token_count,
    )


async def vqa(request: Request) -> VqaReply:
    """The answer to a question about a picture."""
    answer = await _answer(request, "vqa")
    return VqaReply(
        answer=answer.text,
        inference_time_ms=answer.inference_time_ms,
        model=answer.model,
        token_count=answer.token_count,
    )


async def _answer(request: Request, task: Task) -> CaptionResult:
    worker: CaptionService = request.app.state.worker
    started = time.monotonic()
    with worker.queue.admit():
        call = await read_request(request, task, max_image_bytes=worker.decoder.limits.max_bytes)
        with call.image:
            answer = await until_disconnect(request, worker.answer(call))
    worker.metrics.note_answer(time.monotonic() - started)
    return answer
