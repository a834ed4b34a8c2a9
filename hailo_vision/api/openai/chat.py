"""`POST /v1/chat/completions`: one conversation in, one answer out, whole or as it comes."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import Response

from hailo_common.web.streams.event_stream import sse_form
from hailo_vision.api.answering import Asked, respond
from hailo_vision.api.chat_service import ChatService
from hailo_vision.api.openai.answers import Completion, response_meta
from hailo_vision.api.openai.errors import openai_format
from hailo_vision.api.openai.request import read_chat_request

FORM = sse_form(openai_format)


async def chat_completions(request: Request) -> Response:
    """An answer to a conversation about images, as OpenAI's API gives it."""
    return await respond(request, _read, FORM)


async def _read(request: Request, service: ChatService, began: float) -> Asked:
    asked = await read_chat_request(request, service)

    def writer() -> Completion:
        meta = response_meta(asked.service.info, asked.model, began)
        return Completion(meta, include_usage=asked.include_usage)

    return Asked(asked.chat, asked.service, asked.stream, writer)
