"""`POST /v1/vision/analyze`: one prompt about each of several pictures."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, replace
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from hailo_common.errors import ServiceError
from hailo_common.web.body import read_json, release_body
from hailo_common.web.disconnect import until_disconnect
from hailo_common.web.errors import openai_format
from hailo_vision.api.chat_request import ChatRequest
from hailo_vision.api.chat_service import ChatService
from hailo_vision.api.event_stream import EventStream
from hailo_vision.api.fields import refused, string
from hailo_vision.api.messages import Gallery, check_length
from hailo_vision.api.options import Options, read_options
from hailo_vision.api.responses import DONE, ResponseMeta, event, usage

_SHOWN = 40

Entry = dict[str, Any]


@dataclass
class Batch:
    """Pictures to be asked about, and the errors of those that are refused already, in the order sent."""

    prompt: str
    options: Options
    items: list[tuple[str, Gallery | ServiceError]]

    def close(self) -> None:
        """Close all pictures. May be called twice."""
        for _, item in self.items:
            if isinstance(item, Gallery):
                item.close()


async def analyze(request: Request) -> Response:
    """Answers to one prompt about several pictures; a bad picture spoils only its own entry."""
    worker: ChatService = request.app.state.worker
    began = time.monotonic()
    async with AsyncExitStack() as holding:
        holding.enter_context(worker.queue.admit())
        batch = await _read(request, worker)
        holding.callback(batch.close)
        meta = worker.meta(began)
        if batch.options.stream:
            source = _events(worker, batch, meta)
            return EventStream(source, holding.pop_all(), ping_s=worker.stream_settings.ping_s)
        entries, first_error = await until_disconnect(request, _all(worker, batch, meta))
        if first_error is not None:
            raise first_error
        worker.metrics.note_answer(time.monotonic() - began)
        return JSONResponse({"results": entries, **_totals(entries, meta)})


async def _read(request: Request, worker: ChatService) -> Batch:
    data = await read_json(request, limit=worker.limits.body_bytes)
    if data.get("model") is not None:
        worker.check_model(data["model"])
    prompt = string(data, "prompt")
    if not prompt.strip():
        raise refused("prompt", "prompt must not be empty.")
    check_length(len(prompt), "prompt")
    options = read_options(data, worker.limits.defaults)
    images = data.get("images")
    most = worker.limits.images
    if not isinstance(images, list) or not 1 <= len(images) <= most:
        raise refused("images", f"images must be a list of 1 to {most} pictures.")
    batch = Batch(prompt, options, [_item(image, index, worker) for index, image in enumerate(images)])
    del data, images
    release_body(request)
    return batch


def _item(image: Any, index: int, worker: ChatService) -> tuple[str, Gallery | ServiceError]:
    """A picture and how it is named in the answer: the head of its URL."""
    source = image
    for name in ("image_url", "url", "image", "data"):
        if isinstance(source, dict) and name in source:
            source = source[name]
    named = source[: source.find(",", 0, _SHOWN) + 1] + "..." if isinstance(source, str) else ""
    gallery = Gallery(1, worker.limits.image_bytes)
    try:
        gallery.add(source, f"images[{index}]", bare=True)
    except ServiceError as error:
        return named, error
    return named, gallery


async def _entries(
    worker: ChatService, batch: Batch, meta: ResponseMeta
) -> AsyncGenerator[tuple[Entry, ServiceError | None], None]:
    """One entry for each picture, in their order, with the error if there is one."""
    for index, (named, item) in enumerate(batch.items):
        head = {"index": index, "image_url": named}
        try:
            if isinstance(item, ServiceError):
                raise item
            yield head | await _answer(worker, batch, item, meta), None
        except ServiceError as error:
            error.param = error.param or f"images[{index}]"
            yield head | openai_format(openai_format.http_status(error), error), error


async def _answer(worker: ChatService, batch: Batch, gallery: Gallery, meta: ResponseMeta) -> Entry:
    content = [{"type": "image", "image": 0}, {"type": "text", "text": batch.prompt}]
    message = {"role": "user", "content": content}
    options = replace(batch.options, stream=False)
    call = ChatRequest(meta.model, [message], gallery, options, worker.limits.context_policy)
    own = replace(meta, began=time.monotonic())
    async with AsyncExitStack() as holding:
        holding.callback(gallery.close)
        images = await worker.decode(gallery.images, holding)
        result = (await worker.complete(call, images, own)).result
    return {
        "analysis": result["text"],
        "finish_reason": result["finish_reason"],
        "inference_time_ms": max(1, round(result["seconds"] * 1000)),
        "usage": usage(result),
    }


async def _all(
    worker: ChatService, batch: Batch, meta: ResponseMeta
) -> tuple[list[Entry], ServiceError | None]:
    """All entries, and the first error where no picture at all could be answered."""
    entries, errors = [], []
    async with aclosing(_entries(worker, batch, meta)) as source:
        async for entry, error in source:
            entries.append(entry)
            errors.append(error)
    return entries, None if None in errors else errors[0]


async def _events(worker: ChatService, batch: Batch, meta: ResponseMeta) -> AsyncGenerator[bytes, None]:
    entries = []
    async with aclosing(_entries(worker, batch, meta)) as source:
        async for entry, _ in source:
            entries.append(entry)
            yield event(entry)
    worker.metrics.note_answer(time.monotonic() - meta.began)
    yield event(_totals(entries, meta)) + DONE


def _totals(entries: list[Entry], meta: ResponseMeta) -> Mapping[str, Any]:
    answered = [entry for entry in entries if "analysis" in entry]
    return {
        "model": meta.model,
        "total_inference_time_ms": sum(entry["inference_time_ms"] for entry in answered),
        "total_ms": max(1, round((time.monotonic() - meta.began) * 1000)),
        "images_answered": len(answered),
        "images_failed": len(entries) - len(answered),
        "usage": {
            name: sum(entry["usage"][name] for entry in answered)
            for name in ("prompt_tokens", "completion_tokens", "total_tokens")
        },
    }
