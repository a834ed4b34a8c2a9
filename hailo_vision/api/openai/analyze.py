"""`POST /v1/vision/analyze`: one prompt about each of several images."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, replace
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from hailo_common.errors import ServiceError
from hailo_common.web.body import read_body, read_json_or_image, release_body, until_disconnect
from hailo_common.web.forms import read_form
from hailo_common.web.media import FORM, IMAGE, JSON, require_media
from hailo_common.web.streams.event_stream import DONE, EventStream, event, sse_form
from hailo_vision.api.chat_request import ChatRequest, SentImages
from hailo_vision.api.chat_service import ChatService
from hailo_vision.api.fields import Data, flag, refused, string
from hailo_vision.api.image_fields import source_of
from hailo_vision.api.messages import check_length
from hailo_vision.api.openai.answers import ResponseMeta, response_meta, usage
from hailo_vision.api.openai.errors import openai_format
from hailo_vision.api.openai.request import read_options, refuse_forced_tools
from hailo_vision.protocol import ChatMessage, VisionRequest

_SHOWN = 40

Entry = dict[str, Any]


@dataclass
class Batch:
    """Images to be asked about, and the errors of those that are refused already, in the order sent."""

    service: ChatService
    model: str
    request: VisionRequest
    stream: bool
    items: list[tuple[str, SentImages | ServiceError]]

    async def fetch(self) -> None:
        """Fetch the images that came by address; one that is not to be had spoils only its own entry."""
        for index, (named, item) in enumerate(self.items):
            if isinstance(item, SentImages):
                try:
                    await self.service.fetch(item)
                except ServiceError as error:
                    self.items[index] = named, error

    def close(self) -> None:
        """Close all images. May be called twice."""
        for _, item in self.items:
            if isinstance(item, SentImages):
                item.close()


async def analyze(request: Request) -> Response:
    """Answers to one prompt about several images; a bad image spoils only its own entry."""
    service: ChatService = request.app.state.chat_service
    began = time.monotonic()
    service.check()
    async with AsyncExitStack() as holding:
        batch = await _read(request, service)
        holding.callback(batch.close)
        service = batch.service
        await until_disconnect(request, batch.fetch())
        holding.enter_context(service.enter())
        if batch.stream:
            source = _events(service, batch, began)
            ping_s = service.stream_settings.ping_s
            return EventStream(source, holding.pop_all(), sse_form(openai_format), ping_s=ping_s)
        entries, first_error = await until_disconnect(request, _all(service, batch))
        if first_error is not None:
            raise first_error
        service.metrics.note_answer(time.monotonic() - began)
        meta = response_meta(service.info, batch.model, began)
        return JSONResponse({"results": entries, **_totals(entries, meta)})


async def _read(request: Request, service: ChatService) -> Batch:
    data = await _data(request, service)
    service = service.resolve(data.get("model"))
    prompt = string(data, "prompt")
    if not prompt.strip():
        raise refused("prompt", "prompt must not be empty.")
    check_length(len(prompt), "prompt")
    message = ChatMessage("user", (0, prompt))
    refuse_forced_tools(data)
    asked = replace(read_options(data, service.limits), messages=(message,))
    images, limit = _images(data), service.limits.images
    if not isinstance(images, list) or not 1 <= len(images) <= limit:
        raise refused("images", f"images must be a list of 1 to {limit} images (max_images).")
    model, stream = service.catalogue.spelled(data.get("model")), flag(data, "stream")
    # Last, since nobody else closes them.
    items = [_item(image, index, service) for index, image in enumerate(images)]
    batch = Batch(service, model, asked, stream, items)
    del data, images
    release_body(request)
    return batch


async def _data(request: Request, service: ChatService) -> Data:
    """The request's fields, of JSON, a form, or an image with fields in its address (`?prompt=...`)."""
    media, limit = require_media(request, FORM, JSON, IMAGE), service.limits.body_bytes
    if media == FORM:
        return await _form(request, service)
    found = await (read_body if media == IMAGE else read_json_or_image)(request, limit=limit)
    if not isinstance(found, bytes):
        return found
    return {name: _value(name, text) for name, text in request.query_params.items()} | {"images": [found]}


async def _form(request: Request, service: ChatService) -> Data:
    """A form's fields, those of JSON's other types read as JSON, and its files as `images`."""
    form = await read_form(request, limit=service.limits.body_bytes)
    data: dict[str, Any] = {name: _value(name, text) for name, text in form.fields.items()}
    return data | ({"images": [data for _, data in form.files]} if form.files else {})


def _value(name: str, text: str) -> Any:
    if name in ("prompt", "model"):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _images(data: Data) -> Any:
    """`images`, or one image under a name that says as much."""
    for name in ("images", "image", "image_url", "file"):
        value = data.get(name)
        if value is not None:
            return value if isinstance(value, list) else [value]
    return None


def _item(image: Any, index: int, service: ChatService) -> tuple[str, SentImages | ServiceError]:
    """An image and how it is named in the answer: the head of its URL."""
    source, _ = source_of(image, "")
    named = source[: source.find(",", 0, _SHOWN) + 1] + "..." if isinstance(source, str) else ""
    sent = SentImages(1, service.limits.image_bytes)
    try:
        sent.add(source, f"images[{index}]")
    except ServiceError as error:
        return named, error
    return named, sent


async def _entries(
    service: ChatService, batch: Batch
) -> AsyncGenerator[tuple[Entry, ServiceError | None], None]:
    """One entry for each image, in their order, with the error if there is one."""
    for index, (named, item) in enumerate(batch.items):
        head = {"index": index, "image_url": named}
        try:
            if isinstance(item, ServiceError):
                raise item
            yield head | await _answer(service, batch, item), None
        except ServiceError as error:
            error.param = error.param or f"images[{index}]"
            yield head | openai_format(openai_format.http_status(error), error), error


async def _answer(service: ChatService, batch: Batch, sent: SentImages) -> Entry:
    began = time.monotonic()
    async with AsyncExitStack() as holding:
        holding.callback(sent.close)
        await service.known()
        images = await service.decode(sent.images, holding)
        result = (await service.complete(ChatRequest(batch.request, sent), images, began)).result
    return {
        "analysis": result.text,
        "finish_reason": result.finish_reason,
        "inference_time_ms": max(1, round(result.seconds * 1000)),
        "usage": usage(result),
    }


async def _all(service: ChatService, batch: Batch) -> tuple[list[Entry], ServiceError | None]:
    """All entries, and the first error where no image at all could be answered."""
    entries, errors = [], []
    async with aclosing(_entries(service, batch)) as source:
        async for entry, error in source:
            entries.append(entry)
            errors.append(error)
    return entries, None if None in errors else errors[0]


async def _events(service: ChatService, batch: Batch, began: float) -> AsyncGenerator[bytes, None]:
    await service.known()
    entries = []
    async with aclosing(_entries(service, batch)) as source:
        async for entry, _ in source:
            entries.append(entry)
            yield event(entry)
    service.metrics.note_answer(time.monotonic() - began)
    meta = response_meta(service.info, batch.model, began)
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
