"""`POST /v1/chat/completions`: one conversation in, one answer out, whole or as it comes."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

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
        holding.enter_context(service.queue.admit())
        asked = await read_chat_request(request, service)
        holding.enter_context(asked.chat)
        meta = response_meta(service.info, began)
        answering = _Completion(service, asked, meta)
        if not asked.stream:
            answer = await until_disconnect(request, answering.whole(holding))
            service.metrics.note_answer(time.monotonic() - began)
            return JSONResponse(completion(meta, answer.result), headers=_headers(answer))
        answer, source = await until_disconnect(request, answering.opened(holding))
        ping_s = service.stream_settings.ping_s
        return EventStream(source, holding.pop_all(), ping_s=ping_s, headers=_headers(answer))


@dataclass(frozen=True)
class _Completion:
    """One answer, given whole or as it comes; `holding` closes what it needs."""

    service: ChatService
    asked: ChatCompletionRequest
    meta: ResponseMeta

    async def whole(self, holding: AsyncExitStack) -> Answer:
        images = await self.service.decode(self.asked.chat.images.images, holding)
        return await self.service.complete(self.asked.chat.engine, images, self.meta.began)

    async def opened(self, holding: AsyncExitStack) -> tuple[Answer, AsyncGenerator[bytes, None]]:
        """Get so far that only the model itself can fail; what fails here has its own HTTP status."""
        chunks = Chunks(self.meta, include_usage=self.asked.include_usage)
        if not self.service.constrains(self.asked.chat.engine):
            answer = await self.whole(holding)
            return answer, self._at_once(answer, chunks)
        images = await self.service.decode(self.asked.chat.images.images, holding)
        answer = self.service.start(self.asked.chat.engine, images)
        holding.push_async_callback(answer.aclose)
        await answer.begin()
        return answer, self._as_it_comes(answer, images, chunks)

    async def _as_it_comes(
        self, answer: Answer, images: Sequence[DecodedImage], chunks: Chunks
    ) -> AsyncGenerator[bytes, None]:
        yield chunks.first()
        while texts := await answer.texts():
            yield chunks.texts(texts)
        self.service.note(answer, images, self.meta.began)
        self.service.check_structure(self.asked.chat.engine, answer.result)
        self.service.metrics.note_answer(time.monotonic() - self.meta.began)
        yield chunks.last(answer.result)

    async def _at_once(self, answer: Answer, chunks: Chunks) -> AsyncGenerator[bytes, None]:
        """An answer that had to be checked before any of it could be given."""
        self.service.metrics.note_answer(time.monotonic() - self.meta.began)
        yield chunks.first() + chunks.texts([answer.result.text]) + chunks.last(answer.result)


def _headers(answer: Answer) -> dict[str, str]:
    dropped = answer.started.dropped_messages if answer.started else 0
    return {DROPPED: str(dropped)} if dropped else {}
