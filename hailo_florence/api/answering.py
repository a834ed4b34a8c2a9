"""From a request to its answer, one image or a batch, in the words of its route."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Iterator, Mapping
from contextlib import AsyncExitStack, aclosing, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from hailo_common.errors import ServiceError
from hailo_common.web.body import until_disconnect
from hailo_common.web.errors import flat_format
from hailo_common.web.streams.event_stream import DONE, EventStream, event, sse_form
from hailo_florence.api.caption_service import Answer, CaptionService, Picture
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
        await until_disconnect(request, service.fetch(asked.images))
        holding.enter_context(service.queue.admit())
        answering = _Answering(service, asked, write, began)
        if asked.fields.stream is True:
            source = await until_disconnect(request, answering.opened(holding))
            return EventStream(source, holding.pop_all(), _FORM, ping_s=service.limits.ping_s)
        body = await until_disconnect(request, answering.whole())
    service.metrics.note_answer(time.monotonic() - began)
    return JSONResponse(body)


async def answer_one(service: CaptionService, asked: Asked[F], write: Write[F]) -> Reply:
    """The answer about the one image of a request. Call it inside `queue.admit()`."""
    (image,) = asked.images.images
    return await _Answering(service, asked, write, time.monotonic()).single(image)


@dataclass(frozen=True)
class _Look:
    """What is known of an image before it is asked about: the answer, where it is a camera's and unchanged.

    `keep` is given the answer otherwise, and completes it.
    """

    reply: Reply | None
    keep: Callable[[Reply], Reply]


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
            return (await self.single(image)).to_json()
        entries, errors = [], []
        async with aclosing(self._entries()) as source:
            async for entry, error in source:
                entries.append(entry)
                errors += [error] if error else []
        if len(errors) == len(entries):
            raise errors[0]
        return {"results": entries, **self._totals(entries)}

    async def opened(self, holding: AsyncExitStack) -> AsyncGenerator[bytes, None]:
        """The pieces of a stream. What fails before the engine has begun has its own HTTP status."""
        if self.asked.images.batch:
            return self._batch_as_it_comes()
        (image,) = self.asked.images.images
        with _about("image"):
            look = await self._look(image)
            if look.reply is not None:
                return self._at_once(look.reply)
            picture = await self.service.decode(image.encoded())
            holding.callback(picture.close)
            answer = self.service.start(self.asked.request, picture)
            holding.push_async_callback(answer.aclose)
            await answer.begin()
        return self._as_it_comes(answer, picture, look)

    async def _as_it_comes(
        self, answer: Answer, picture: Picture, look: _Look
    ) -> AsyncGenerator[bytes, None]:
        while texts := await answer.texts():
            yield b"".join(event({"delta": text}) for text in texts)
        self.service.note(self.asked.request, picture, answer.result)
        yield self._last(look.keep(self._written(answer.result)).to_json())

    async def _at_once(self, reply: Reply) -> AsyncGenerator[bytes, None]:
        yield self._last(reply.to_json())

    async def _batch_as_it_comes(self) -> AsyncGenerator[bytes, None]:
        entries = []
        async with aclosing(self._entries()) as source:
            async for entry, _ in source:
                entries.append(entry)
                yield event(entry)
        yield self._last(self._totals(entries))

    def _last(self, body: Mapping[str, Any]) -> bytes:
        self.service.metrics.note_answer(time.monotonic() - self.began)
        return event(body) + DONE

    async def single(self, image: SentImage) -> Reply:
        """The answer about an image that is alone."""
        with _about("image"):
            return await self._one(image)

    async def _one(self, image: SentImage, decode: Callable[[], Awaitable[Picture]] | None = None) -> Reply:
        """The answer about one image, which `decode` decodes where it is decoded already."""
        look = await self._look(image)
        if look.reply is not None:
            return look.reply
        picture = await (decode() if decode else self.service.decode(image.encoded()))
        with closing(picture):
            result = await self.service.infer(self.asked.request, picture)
        return look.keep(self._written(result))

    def _written(self, result: FlorenceResult) -> Reply:
        return self.write(result, self.asked.fields, self.service.facts(result))

    async def _look(self, image: SentImage) -> _Look:
        """Compare a camera's picture to the one that was described last; of others nothing is known."""
        if self.asked.camera is None:
            return _Look(None, lambda reply: reply)
        service, fields, key = self.service, self.asked.fields, self._scene_key()
        threshold = fields.threshold or service.limits.scene_threshold
        frame, distance = await service.frame(image.encoded()), None
        if (last := service.cameras.find(key)) is not None:
            distance = round(last.scene.follow(frame, threshold), 4)
            if distance < threshold:
                service.tasks.note_scene("unchanged")
                return _Look(last.reply.model_copy(update=_UNCHANGED | {"distance": distance}), _never)

        def keep(reply: Reply) -> Reply:
            service.tasks.note_scene("first" if last is None else "changed")
            service.cameras.keep(key, frame, reply)
            return reply.model_copy(update={"unchanged": False, "distance": distance})

        return _Look(None, keep)

    def _scene_key(self) -> Hashable:
        """A camera, and all that its answer depends on besides the picture."""
        fields, task = self.asked.fields, self.asked.request.task
        return self.asked.camera, task, type(fields), fields.asked(), self.service.info.fingerprint

    async def _entries(self) -> AsyncGenerator[tuple[Entry, ServiceError | None], None]:
        """One entry for each image, in their order, with the error if there is one."""
        async with aclosing(_Ahead(self.service, self.asked.images.images)) as ahead:
            for index, sent in enumerate(self.asked.images.images):
                head = {"index": index, "image_url": sent.named}
                # Of a camera's pictures most are never decoded to the model's size.
                decode = partial(ahead.picture, index) if self.asked.camera is None else None
                try:
                    reply = (await self._one(sent, decode)).to_json()
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


_FORM = sse_form(flat_format)
_UNCHANGED = {"unchanged": True, "inference_time_ms": 0, "cached": None}


def _never(_: Reply) -> Reply:
    raise AssertionError("an unchanged picture has no new answer")


@contextmanager
def _about(param: str) -> Iterator[None]:
    """Errors of what runs inside are about this field, unless they name another."""
    try:
        yield
    except ServiceError as error:
        error.param = error.param or param
        raise


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
