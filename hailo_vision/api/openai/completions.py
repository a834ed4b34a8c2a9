"""`POST /v1/completions`: OpenAI's older API, one prompt in, one text out.

The prompt becomes a user's message, since a model that follows instructions reads nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fastapi import Request
from fastapi.responses import Response

from hailo_common.engine.contract import EngineStarted
from hailo_common.web.body import release_body
from hailo_common.web.streams.event_stream import DONE, event
from hailo_vision.api.answering import Asked, respond
from hailo_vision.api.chat_request import ChatRequest, sent_images
from hailo_vision.api.chat_service import ChatService
from hailo_vision.api.fields import Data, flag, integer, refused, table, unsupported
from hailo_vision.api.messages import check_text
from hailo_vision.api.openai.answers import ResponseMeta, performance, response_meta, usage
from hailo_vision.api.openai.chat import FORM
from hailo_vision.api.openai.request import read_named, read_options, refuse_forced_tools, with_images
from hailo_vision.api.tools.calls import CallEvent, Said
from hailo_vision.protocol import ChatMessage


async def completions(request: Request) -> Response:
    """An answer to a prompt, as OpenAI's older API gives it."""
    return await respond(request, _read, FORM)


async def _read(request: Request, service: ChatService, began: float) -> Asked:
    data = await read_named(request, service)
    service = service.resolve(data.get("model"))
    model = service.catalogue.spelled(data.get("model"))
    options = table(data, "stream_options") or {}
    stream, include = flag(data, "stream"), flag(options, "include_usage", "stream_options.include_usage")
    chat = _chat(data, service)
    del data
    release_body(request)

    def writer() -> TextCompletion:
        meta = response_meta(service.info, model, began, prefix="cmpl-")
        return TextCompletion(meta, include_usage=include)

    return Asked(chat, service, stream, writer)


def _chat(data: Data, service: ChatService) -> ChatRequest:
    _refuse_what_would_lie(data)
    refuse_forced_tools(data)
    engine = read_options({**data, "logprobs": None}, service.limits)
    messages: tuple[ChatMessage, ...] = (ChatMessage("user", (_prompt(data.get("prompt")),)),)
    check_text(messages)
    with sent_images(service.limits) as images:
        messages = with_images(messages, data, images, known=("prompt", "model"))
        return ChatRequest(replace(engine, messages=messages), images)


def _prompt(value: Any) -> str:
    prompt = value[0] if isinstance(value, list) and len(value) == 1 else value
    if not isinstance(prompt, str) or not prompt:
        raise refused("prompt", "prompt must be one text that is not empty; token ids are not read here.")
    return prompt


def _refuse_what_would_lie(data: Data) -> None:
    if data.get("suffix"):
        raise unsupported("suffix", "This model does not fill in the middle of a text: suffix must be empty.")
    if flag(data, "echo"):
        raise unsupported("echo", "The prompt is not given back here: echo must be false.")
    if integer(data, "best_of", 1) not in (None, 1):
        raise unsupported("best_of", "Only one answer can be made at a time: best_of must be 1.")
    if data.get("logprobs") not in (None, False, 0):
        raise unsupported("logprobs", "This service gives no log probabilities.")


class TextCompletion:
    """One answer, whole or as server-sent events, all of which are of one kind here."""

    def __init__(self, meta: ResponseMeta, *, include_usage: bool) -> None:
        self._meta = meta
        self._include_usage = include_usage

    def whole(self, said: Said) -> dict[str, Any]:
        """See `AnswerWriter.whole`."""
        counted = {"usage": usage(said.result), "performance": performance(self._meta.began, said.result)}
        return {**self._said(said.text, said.finish_reason), **counted}

    def first(self, started: EngineStarted | None) -> bytes:  # noqa: ARG002
        """See `AnswerWriter.first`."""
        return b""

    def texts(self, texts: Sequence[str]) -> bytes:
        """See `AnswerWriter.texts`."""
        return b"".join([event(self._said(text, None)) for text in texts])

    def call(self, event: CallEvent) -> bytes:  # noqa: ARG002
        """See `AnswerWriter.call`; there are no tools here."""
        return b""

    def last(self, said: Said) -> bytes:
        """See `AnswerWriter.last`."""
        more = {"performance": performance(self._meta.began, said.result)}
        end = event({**self._said("", said.finish_reason), **more})
        if self._include_usage:
            end += event({**self._meta.head("text_completion"), "choices": [], "usage": usage(said.result)})
        return end + DONE

    def _said(self, text: str, reason: str | None) -> dict[str, Any]:
        choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": reason}
        return {**self._meta.head("text_completion"), "choices": [choice]}
