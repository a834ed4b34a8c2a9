"""From a request to its answer, one image or a batch, in the words of its route."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, closing
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from hailo_common.errors import ServiceError
from hailo_common.web.body import until_disconnect
from hailo_common.web.errors import flat_format
from hailo_florence.api.caption_service import CaptionService, Picture
from hailo_florence.api.fields import Fields
from hailo_florence.api.replies import Reply
from hailo_florence.api.request import Asked, read_request
from hailo_florence.api.sent_images import BATCH, SentImage
from hailo_florence.protocol import FlorenceResult

F = TypeVar("F", bound=Fields)
Facts: TypeAlias = "dict[str, Any]"
"""What every reply carries."""
Write: TypeAlias = "Callable[[FlorenceResult, F, Facts], Reply]"
"""Makes a route's reply of a result."""
Entry: TypeAlias = "dict[str, Any]"


async def respond(request: Request, kind: type[F], write: Write[F], task: str | None = None) -> Response:
    """Answer a request whose fields are of `kind`; `task` is that of the address, where one stands there."""
    service: CaptionService = request.app.state.caption_service
    began = time.monotonic()
    service.queue.check()
    async with AsyncExitStack() as holding:
        asked = await read_request(request, kind, limits=service.limits.request, task=task)
        holding.callback(asked.images.close)
        service.for_engine(asked.request)
        holding.enter_context(service.queue.admit())
        answering = _Answering(service, asked, write, began)
        body = await until_disconnect(request, answering.whole())
    service.metrics.note_answer(time.monotonic() - began)
    return JSONResponse(body)


@dataclass(frozen=True)
class _Answering(Generic[F]):
    """One request on its way; `began` is the monotonic time at which it came."""

    service: CaptionService
    asked: Asked[F]
    write: Write[F]
    began: float

    async def whole(self) -> Mapping[str, Any]:
        """The reply, or those of a batch; raises the first error where no image could be answered."""
        if not self.asked.images.batch:
            (image,) = self.asked.images.images
            return _json(await self._single(image))
        entries, errors = [], []
        async with aclosing(self._entries()) as source:
            async for entry, error in source:
                entries.append(entry)
                errors += [error] if error else []
        if len(errors) == len(entries):
            raise errors[0]
        return {"results": entries, **self._totals(entries)}

    async def _single(self, image: SentImage) -> Reply:
        try:
            if self.asked.camera is not None:
                return await self._watch(image)
            return await self._answer(await self.service.decode(image.encoded()))
        except ServiceError as error:
            error.param = error.param or "image"
            raise

    async def _one(self, index: int, ahead: _Ahead) -> Reply:
        """The answer to one of a batch. Of a camera's pictures most are not decoded to the model's size."""
        if self.asked.camera is not None:
            return await self._watch(self.asked.images.images[index])
        return await self._answer(await ahead.picture(index))

    async def _watch(self, image: SentImage) -> Reply:
        """The answer about a camera's picture: the last one again where the picture has not changed."""
        service, fields = self.service, self.asked.fields
        key = (
            *(self.asked.camera, self.asked.request.task, type(fields), fields.asked()),
            service.info.fingerprint,
        )
        threshold = fields.threshold or service.limits.scene_threshold
        frame, distance = await service.frame(image.encoded()), None
        if (last := service.cameras.find(key)) is not None:
            distance = round(last.scene.follow(frame, threshold), 4)
            if distance < threshold:
                service.tasks.note_scene("unchanged")
                return last.reply.model_copy(
                    update={"unchanged": True, "distance": distance, "inference_time_ms": 0, "cached": None}
                )
        reply = await self._answer(await service.decode(image.encoded()))
        service.tasks.note_scene("first" if last is None else "changed")
        service.cameras.keep(key, frame, reply)
        return reply.model_copy(update={"unchanged": False, "distance": distance})

    async def _answer(self, picture: Picture) -> Reply:
        with closing(picture):
            result = await self.service.infer(self.asked.request, picture)
        return self.write(result, self.asked.fields, self.service.facts(result))

    async def _entries(self) -> AsyncGenerator[tuple[Entry, ServiceError | None], None]:
        """One entry for each image, in their order, with the error if there is one."""
        async with aclosing(_Ahead(self.service, self.asked.images.images)) as ahead:
            for index, sent in enumerate(self.asked.images.images):
                head = {"index": index, "image_url": sent.named}
                try:
                    reply = _json(await self._one(index, ahead))
                except ServiceError as error:
                    if error.param in (None, "image"):
                        error.param = f"{BATCH}[{index}]"
                    yield head | flat_format(flat_format.http_status(error), error), error
                else:
                    del reply["model"]
                    yield head | reply, None

    def _totals(self, entries: list[Entry]) -> Mapping[str, Any]:
        answered = [entry for entry in entries if "error" not in entry]
        return {
            "model": self.service.info.model,
            "total_inference_time_ms": sum(entry["inference_time_ms"] for entry in answered),
            "total_ms": max(1, round((time.monotonic() - self.began) * 1000)),
            "images_answered": len(answered),
            "images_failed": len(entries) - len(answered),
            "token_count": sum(entry["token_count"] for entry in answered),
        }


def _json(reply: Reply) -> dict[str, Any]:
    return reply.model_dump(mode="json", exclude_none=True)


class _Ahead:
    """Decodes each image of a batch while the one before it is in the engine: two processes work at once."""

    def __init__(self, service: CaptionService, images: tuple[SentImage, ...]) -> None:
        self._service, self._images = service, images
        self._next: asyncio.Task[Picture] | None = None

    async def picture(self, index: int) -> Picture:
        """The image of that place, which the caller closes; they are asked for in turn."""
        task = self._next = self._next or self._begin(index)
        await asyncio.wait((task,))  # when this is cancelled the task is left to `aclose`
        self._next = self._begin(index + 1) if index + 1 < len(self._images) else None
        return task.result()

    def _begin(self, index: int) -> asyncio.Task[Picture]:
        return asyncio.create_task(self._decode(self._images[index]))

    async def _decode(self, image: SentImage) -> Picture:
        return await self._service.decode(image.encoded())

    async def aclose(self) -> None:
        """Give up what is under way, and close what nobody took."""
        task, self._next = self._next, None
        if task is None:
            return
        task.cancel()
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(outcome, Picture):
            outcome.close()
