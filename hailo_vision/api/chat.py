"""`POST /v1/chat/completions`: one conversation in, one answer out, whole or as it comes."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from hailo_common.images.handles import DecodedImage
from hailo_common.web.disconnect import until_disconnect
from hailo_vision.api.chat_request import ChatRequest, read_chat_request
from hailo_vision.api.chat_service import ChatService
from hailo_vision.api.engine_stream import EngineStream
from hailo_vision.api.event_stream import EventStream
from hailo_vision.api.responses import Chunks, ResponseMeta, completion

DROPPED = "x-context-dropped-messages"


async def chat_completions(request: Request) -> Response:
    """An answer to a conversation about pictures, as OpenAI's API gives it."""
    worker: ChatService = request.app.state.worker
    began = time.monotonic()
    async with AsyncExitStack() as holding:
        holding.enter_context(worker.queue.admit())
        call = holding.enter_context(await read_chat_request(request, worker.limits, worker.check_model))
        meta = worker.meta(began)
        if not call.options.stream:
            run = await until_disconnect(request, _whole(worker, call, meta, holding))
            worker.metrics.note_answer(time.monotonic() - began)
            return JSONResponse(completion(meta, run.result), headers=_headers(run))
        run, source = await until_disconnect(request, _opened(worker, call, meta, holding))
        ping_s = worker.stream_settings.ping_s
        return EventStream(source, holding.pop_all(), ping_s=ping_s, headers=_headers(run))


async def _whole(
    worker: ChatService, call: ChatRequest, meta: ResponseMeta, holding: AsyncExitStack
) -> EngineStream:
    images = await worker.decode(call.gallery.images, holding)
    return await worker.complete(call, images, meta)


async def _opened(
    worker: ChatService, call: ChatRequest, meta: ResponseMeta, holding: AsyncExitStack
) -> tuple[EngineStream, AsyncGenerator[bytes, None]]:
    images = await worker.decode(call.gallery.images, holding)
    return await _Stream(worker, call, images, meta).open(holding)


@dataclass(frozen=True)
class _Stream:
    """An answer that is given while it is made."""

    worker: ChatService
    call: ChatRequest
    images: Sequence[DecodedImage]
    meta: ResponseMeta

    async def open(self, holding: AsyncExitStack) -> tuple[EngineStream, AsyncGenerator[bytes, None]]:
        """Get so far that only the model itself can fail; what fails here has its own HTTP status."""
        chunks = Chunks(self.meta, include_usage=self.call.options.include_usage)
        if not self.worker.constrains(self.call):
            run = await self.worker.complete(self.call, self.images, self.meta)
            return run, self._at_once(run, chunks)
        run = self.worker.start(self.call, self.images)
        holding.push_async_callback(run.aclose)
        await run.begin()
        return run, self._as_it_comes(run, chunks)

    async def _as_it_comes(self, run: EngineStream, chunks: Chunks) -> AsyncGenerator[bytes, None]:
        yield chunks.first()
        async for texts in run.texts():
            yield b"".join(map(chunks.text, texts))
        self.worker.note(run, self.images, self.meta)
        self.worker.check_structure(self.call, run.result)
        self.worker.metrics.note_answer(time.monotonic() - self.meta.began)
        yield chunks.last(run.result)

    async def _at_once(self, run: EngineStream, chunks: Chunks) -> AsyncGenerator[bytes, None]:
        """An answer that had to be checked before any of it could be given."""
        self.worker.metrics.note_answer(time.monotonic() - self.meta.began)
        yield chunks.first() + chunks.text(run.result["text"]) + chunks.last(run.result)


def _headers(run: EngineStream) -> dict[str, str]:
    dropped = run.started.get("dropped_messages", 0)
    return {DROPPED: str(dropped)} if dropped else {}
