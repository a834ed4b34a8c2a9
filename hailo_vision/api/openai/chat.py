"""`POST /v1/chat/completions`: one conversation in, one answer out, whole or as it comes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import TypeAlias

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from hailo_common.images.decoder import DecodedImage
from hailo_common.web.body import until_disconnect
from hailo_vision.api.chat_service import Answer, ChatService
from hailo_vision.api.openai.request import ChatCompletionRequest, read_chat_request
from hailo_vision.api.openai.responses import Chunks, EventStream, ResponseMeta, completion, response_meta

DROPPED = "x-context-dropped-messages"


async def chat_completions(request: Request) -> Response:
    """An answer to a conversation about images, as OpenAI's API gives it."""
    service: ChatService = request.app.state.chat_service
    began = time.monotonic()
    async with AsyncExitStack() as holding:
        holding.enter_context(service.admit())
        asked = await read_chat_request(request, service)
        holding.enter_context(asked.chat)
        service = asked.service
        holding.enter_context(service.enter())
        answering = _Completion(asked, began)
        if not asked.stream:
            answer, meta = await until_disconnect(request, answering.whole(holding))
            service.metrics.note_answer(time.monotonic() - began)
            return JSONResponse(completion(meta, answer.result), headers=_headers(answer))
        opening = answering.soon(holding) if service.pool.several else answering.opened(holding)
        headers, source = await until_disconnect(request, opening)
        ping_s = service.stream_settings.ping_s
        return EventStream(source, holding.pop_all(), ping_s=ping_s, headers=headers)


Opened: TypeAlias = "tuple[Mapping[str, str], AsyncGenerator[bytes, None]]"
"""Headers and events of a stream."""


@dataclass(frozen=True)
class _Completion:
    """One answer, given whole or as it comes; `holding` closes what it needs."""

    asked: ChatCompletionRequest
    began: float

    @property
    def service(self) -> ChatService:
        return self.asked.service

    async def whole(self, holding: AsyncExitStack) -> tuple[Answer, ResponseMeta]:
        meta = response_meta(await self.service.known(), self.began)
        images = await self.service.decode(self.asked.chat.images.images, holding)
        return await self.service.complete(self.asked.chat.engine, images, self.began), meta

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
        chunks = Chunks(
            response_meta(await self.service.known(), self.began), include_usage=self.asked.include_usage
        )
        if not self.service.constrains(self.asked.chat.engine):
            answer, _ = await self.whole(holding)
            return _headers(answer), self._at_once(answer, chunks)
        images = await self.service.decode(self.asked.chat.images.images, holding)
        answer = self.service.start(self.asked.chat.engine, images)
        holding.push_async_callback(answer.aclose)
        await answer.begin()
        return _headers(answer), self._as_it_comes(answer, images, chunks)

    async def _as_it_comes(
        self, answer: Answer, images: Sequence[DecodedImage], chunks: Chunks
    ) -> AsyncGenerator[bytes, None]:
        yield chunks.first()
        while texts := await answer.texts():
            yield chunks.texts(texts)
        self.service.note(answer, images, self.began)
        self.service.check_structure(self.asked.chat.engine, answer.result)
        self.service.metrics.note_answer(time.monotonic() - self.began)
        yield chunks.last(answer.result)

    async def _at_once(self, answer: Answer, chunks: Chunks) -> AsyncGenerator[bytes, None]:
        """An answer that had to be checked before any of it could be given."""
        self.service.metrics.note_answer(time.monotonic() - self.began)
        yield chunks.first() + chunks.texts([answer.result.text]) + chunks.last(answer.result)


class _Late:
    """A stream that is being opened in a task of its own, which `close` ends wherever it is."""

    def __init__(self, completion: _Completion) -> None:
        self._holding = AsyncExitStack()
        self.opening = asyncio.create_task(completion.opened(self._holding))

    async def events(self) -> AsyncGenerator[bytes, None]:
        """The events of the stream, once it is open."""
        _, source = await self.opening
        async with aclosing(source):
            async for piece in source:
                yield piece

    async def close(self) -> None:
        """Cancel what is not open, and close what it holds."""
        self.opening.cancel()
        await asyncio.gather(self.opening, return_exceptions=True)
        await self._holding.aclose()


def _headers(answer: Answer) -> dict[str, str]:
    dropped = answer.started.dropped_messages if answer.started else 0
    return {DROPPED: str(dropped)} if dropped else {}
