"""From a checked conversation to its answer, whole or as it comes, in the words of any dialect."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from hailo_common.engine.contract import EngineStarted
from hailo_common.images.decoder import DecodedImage
from hailo_common.web.body import until_disconnect
from hailo_common.web.streams.event_stream import EventStream, StreamForm
from hailo_vision.api.chat_request import ChatRequest
from hailo_vision.api.chat_service import Answer, ChatService, is_loose
from hailo_vision.api.tools.calls import CallArguments, CallBegun, CallEvent, CallReader, Said, said_of

DROPPED = "x-context-dropped-messages"
LEFT_OUT = "x-tools-left-out"
"""How many tools the model was not told of, since they would not leave room for a conversation."""


class AnswerWriter(Protocol):
    """One answer in the words of a dialect."""

    def whole(self, said: Said) -> dict[str, Any]:
        """The answer as one object."""
        ...

    def first(self, started: EngineStarted | None) -> bytes:
        """What a stream begins with; `started` is None where the answer is already whole."""
        ...

    def texts(self, texts: Sequence[str]) -> bytes:
        """The next texts of a stream."""
        ...

    def call(self, event: CallEvent) -> bytes:
        """What comes of a call; only asked of requests with tools."""
        ...

    def last(self, said: Said) -> bytes:
        """What a stream ends with."""
        ...


@dataclass(frozen=True)
class Asked:
    """A checked request: what the engine is asked, who asks it, and how the answer is written.

    The writer is made once the model is known, which several models are only after they were loaded.
    `headers` are the dialect's own.
    """

    chat: ChatRequest
    service: ChatService
    stream: bool
    writer: Callable[[], AnswerWriter]
    headers: Mapping[str, str] = field(default_factory=dict)


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
    await until_disconnect(request, service.fetch(asked.chat.images))
    holding.enter_context(service.enter())
    answering = _Answering(asked, began)
    if not asked.stream:
        value, headers = await until_disconnect(request, answering.whole(holding))
        service.metrics.note_answer(time.monotonic() - began)
        return JSONResponse(value, headers=headers)
    opening = answering.soon(holding) if service.pool.several else answering.opened(holding)
    headers, source = await until_disconnect(request, opening)
    ping_s = service.stream_settings.ping_s
    return EventStream(source, holding.pop_all(), form, ping_s=ping_s, headers=headers)


@dataclass
class _Answering:
    """One answer, given whole or as it comes; `holding` closes what it needs."""

    asked: Asked
    began: float

    def __post_init__(self) -> None:
        self.chat = self.asked.chat
        """As it is asked, once the model is known."""

    @property
    def service(self) -> ChatService:
        return self.asked.service

    def _headers(self, answer: Answer) -> Mapping[str, str]:
        headers = dict(self.asked.headers)
        if answer.started and answer.started.dropped_messages:
            headers[DROPPED] = str(answer.started.dropped_messages)
        if self.asked.chat.tools and not self.chat.tools:
            headers[LEFT_OUT] = str(len(self.asked.chat.tools.tools))
        return headers

    async def whole(self, holding: AsyncExitStack) -> tuple[dict[str, Any], Mapping[str, str]]:
        """The answer as one object, and its headers."""
        answer = await self._finished(holding)
        said = said_of(answer.result, self.chat.tools)
        return self.asked.writer().whole(said), self._headers(answer)

    async def _finished(self, holding: AsyncExitStack) -> Answer:
        await self._known()
        images = await self.service.decode(self.chat.images.images, holding)
        return await self.service.complete(self.chat, images, self.began)

    async def _known(self) -> None:
        await self.service.known()
        self.chat = self.service.usable(self.asked.chat)

    async def soon(self, holding: AsyncExitStack) -> Opened:
        """As `opened`, but a stream that would be silent for longer than a ping begins before the answer.

        It is silent while its model is loaded, or others are busy on what that needs. An error is then its
        last event.
        """
        late = _Late(self)
        holding.push_async_callback(late.close)
        done, _ = await asyncio.wait((late.opening,), timeout=self.service.stream_settings.ping_s)
        return late.opening.result() if done else (self.asked.headers, late.events())

    async def opened(self, holding: AsyncExitStack) -> Opened:
        """Get so far that only the model itself can fail; what fails here has its own HTTP status."""
        await self._known()
        if not self.service.constrains(self.chat):
            answer = await self._finished(holding)
            return self._headers(answer), self._at_once(answer)
        images = await self.service.decode(self.chat.images.images, holding)
        answer = self.service.start(self.chat, images)
        holding.push_async_callback(answer.aclose)
        await answer.begin()
        if is_loose(answer):
            answer = await self.service.rest(answer, self.chat, images, self.began)
            return self._headers(answer), self._at_once(answer)
        return self._headers(answer), self._as_it_comes(answer, images)

    async def _as_it_comes(
        self, answer: Answer, images: Sequence[DecodedImage]
    ) -> AsyncGenerator[bytes, None]:
        writer, use = self.asked.writer(), self.chat.tools
        reader = None if use is None else CallReader(use)
        yield writer.first(answer.started)
        while texts := await answer.texts():
            if reader is None:
                yield writer.texts(texts)
            elif piece := _told(writer, [event for text in texts for event in reader.feed(text)]):
                yield piece
        end = b"" if reader is None else _told(writer, reader.end())
        self.service.note(answer, images, self.began)
        self.service.metrics.note_answer(time.monotonic() - self.began)
        said = Said(answer.result, answer.result.text) if reader is None else reader.said(answer.result)
        yield end + writer.last(said)

    async def _at_once(self, answer: Answer) -> AsyncGenerator[bytes, None]:
        """An answer that had to be checked before any of it could be given."""
        writer, said = self.asked.writer(), said_of(answer.result, self.chat.tools)
        self.service.metrics.note_answer(time.monotonic() - self.began)
        events: list[str | CallEvent] = [said.text] if said.text or not said.calls else []
        for index, call in enumerate(said.calls):
            events += [CallBegun(index, call), CallArguments(index, call.arguments)]
        yield writer.first(answer.started) + _told(writer, events) + writer.last(said)


def _told(writer: AnswerWriter, events: Sequence[str | CallEvent]) -> bytes:
    return b"".join(writer.texts([each]) if isinstance(each, str) else writer.call(each) for each in events)


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
