"""From a checked conversation to its answer, whole or as it comes, in the words of any dialect."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from hailo_common.images.decoder import DecodedImage
from hailo_common.web.body import until_disconnect
from hailo_common.web.streams.event_stream import EventStream, StreamForm
from hailo_vision.api.chat_request import ChatRequest
from hailo_vision.api.chat_service import Answer, ChatService
from hailo_vision.protocol import VisionResult

DROPPED = "x-context-dropped-messages"


class AnswerWriter(Protocol):
    """One answer in the words of a dialect."""

    def whole(self, result: VisionResult) -> dict[str, Any]:
        """The answer as one object."""
        ...

    def first(self) -> bytes:
        """What a stream begins with."""
        ...

    def texts(self, texts: Sequence[str]) -> bytes:
        """The next texts of a stream."""
        ...

    def last(self, result: VisionResult) -> bytes:
        """What a stream ends with."""
        ...


@dataclass(frozen=True)
class Asked:
    """A checked request: what the engine is asked, who asks it, and how the answer is written.

    The writer is made once the model is known, which several models are only after they were loaded.
    """

    chat: ChatRequest
    service: ChatService
    stream: bool
    writer: Callable[[], AnswerWriter]


Reader = Callable[[Request, ChatService, float], Awaitable[Asked]]
"""Reads and checks a request; the last argument is the monotonic time at which it came."""
Opened: TypeAlias = "tuple[Mapping[str, str], AsyncGenerator[bytes, None]]"
"""Headers and pieces of a stream."""


async def respond(request: Request, read: Reader, form: StreamForm) -> Response:
    """Answer a request that `read` understands; streams have the given form."""
    service: ChatService = request.app.state.chat_service
    began = time.monotonic()
    service.check()
    async with AsyncExitStack() as holding:
        asked = await read(request, service, began)
        holding.enter_context(asked.chat)
        return await respond_to(request, asked, began, form, holding)


async def respond_to(
    request: Request, asked: Asked, began: float, form: StreamForm, holding: AsyncExitStack
) -> Response:
    """Answer a request that was read; `holding` closes what it needs, at the end of a stream."""
    service = asked.service
    holding.enter_context(service.enter())
    answering = _Answering(asked, began)
    if not asked.stream:
        answer, writer = await until_disconnect(request, answering.whole(holding))
        service.metrics.note_answer(time.monotonic() - began)
        return JSONResponse(writer.whole(answer.result), headers=_headers(answer))
    opening = answering.soon(holding) if service.pool.several else answering.opened(holding)
    headers, source = await until_disconnect(request, opening)
    ping_s = service.stream_settings.ping_s
    return EventStream(source, holding.pop_all(), form, ping_s=ping_s, headers=headers)


@dataclass(frozen=True)
class _Answering:
    """One answer, given whole or as it comes; `holding` closes what it needs."""

    asked: Asked
    began: float

    @property
    def service(self) -> ChatService:
        return self.asked.service

    async def whole(self, holding: AsyncExitStack) -> tuple[Answer, AnswerWriter]:
        await self.service.known()
        images = await self.service.decode(self.asked.chat.images.images, holding)
        answer = await self.service.complete(self.asked.chat.engine, images, self.began)
        return answer, self.asked.writer()

    async def soon(self, holding: AsyncExitStack) -> Opened:
        """As `opened`, but a stream that would be silent for longer than a ping begins before the answer.

        It is silent while its model is loaded, or others are busy on what that needs. An error is then its
        last event.
        """
        late = _Late(self)
        holding.push_async_callback(late.close)
        done, _ = await asyncio.wait((late.opening,), timeout=self.service.stream_settings.ping_s)
        return late.opening.result() if done else ({}, late.events())

    async def opened(self, holding: AsyncExitStack) -> Opened:
        """Get so far that only the model itself can fail; what fails here has its own HTTP status."""
        await self.service.known()
        if not self.service.constrains(self.asked.chat.engine):
            answer, writer = await self.whole(holding)
            return _headers(answer), self._at_once(answer, writer)
        images = await self.service.decode(self.asked.chat.images.images, holding)
        answer = self.service.start(self.asked.chat.engine, images)
        holding.push_async_callback(answer.aclose)
        await answer.begin()
        return _headers(answer), self._as_it_comes(answer, images)

    async def _as_it_comes(
        self, answer: Answer, images: Sequence[DecodedImage]
    ) -> AsyncGenerator[bytes, None]:
        writer = self.asked.writer()
        yield writer.first()
        while texts := await answer.texts():
            yield writer.texts(texts)
        self.service.note(answer, images, self.began)
        self.service.metrics.note_answer(time.monotonic() - self.began)
        yield writer.last(answer.result)

    async def _at_once(self, answer: Answer, writer: AnswerWriter) -> AsyncGenerator[bytes, None]:
        """An answer that had to be checked before any of it could be given."""
        result = answer.result
        self.service.metrics.note_answer(time.monotonic() - self.began)
        yield writer.first() + writer.texts([result.text]) + writer.last(result)


class _Late:
    """A stream that is being opened in a task of its own, which `close` ends wherever it is."""

    def __init__(self, answering: _Answering) -> None:
        self._holding = AsyncExitStack()
        self.opening = asyncio.create_task(answering.opened(self._holding))

    async def events(self) -> AsyncGenerator[bytes, None]:
        """The pieces of the stream, once it is open."""
        _, source = await self.opening
        async with aclosing(source):
            async for piece in source:
                yield piece

    async def close(self) -> None:
        """Cancel what is not open, and close what it holds."""
        self.opening.cancel()
        await asyncio.gather(self.opening, return_exceptions=True)
        await self._holding.aclose()


def _headers(answer: Answer) -> Mapping[str, str]:
    dropped = answer.started.dropped_messages if answer.started else 0
    return {DROPPED: str(dropped)} if dropped else {}
