"""From the body of a chat request to a checked conversation and how its answer shall be made.

A field is honoured, or accepted and ignored where clients always send it, or refused where silence would lie.
docs/vision-api.md has the table.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from fastapi import Request

from hailo_common.errors import InvalidParameter
from hailo_common.web.body import read_json, release_body
from hailo_vision.api.chat_request import ChatRequest, RequestLimits, SentImages, sent_images
from hailo_vision.api.chat_service import ChatService
from hailo_vision.api.fields import Data, flag, integer, number, refused, table, unsupported
from hailo_vision.api.image_fields import beside
from hailo_vision.api.messages import read_messages
from hailo_vision.api.options import read_format, read_sampling, read_stops
from hailo_vision.api.tools.declared import forces_a_tool, read_tools
from hailo_vision.protocol import ChatMessage, VisionRequest

MAX_BIASES = 1024
_TOKEN_ID = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class ChatCompletionRequest:
    """A checked request, who answers it, the name it asked for, and what only the way of answering needs."""

    chat: ChatRequest
    service: ChatService
    model: str
    stream: bool
    include_usage: bool


async def read_chat_request(request: Request, service: ChatService) -> ChatCompletionRequest:
    """Read and check everything but the images' contents; the caller closes `chat`.

    Raises ServiceError or ClientDisconnect.
    """
    data = await read_named(request, service)
    asked = chat_request(data, service)
    del data
    release_body(request)
    return asked


async def read_named(request: Request, service: ChatService) -> dict[str, Any]:
    """The body, with the model that the address names where it names one, as Azure's do."""
    data = await read_json(request, limit=service.limits.body_bytes)
    if deployment := request.path_params.get("deployment"):
        data["model"] = deployment
    return data


def chat_request(data: Data, service: ChatService) -> ChatCompletionRequest:
    """Check the body of a request; see `read_chat_request`."""
    service = service.resolve(data.get("model"))
    engine, tools = read_options(data, service.limits), read_tools(data)
    with sent_images(service.limits) as images:
        messages = with_images(
            read_messages(data.get("messages"), images), data, images, known=("messages", "model")
        )
        options = table(data, "stream_options") or {}
        include_usage = flag(options, "include_usage", "stream_options.include_usage")
        chat = ChatRequest(replace(engine, messages=messages), images, tools)
        model = service.catalogue.spelled(data.get("model"))
        return ChatCompletionRequest(chat, service, model, flag(data, "stream"), include_usage)


def with_images(
    messages: tuple[ChatMessage, ...], data: Data, images: SentImages, *, known: Collection[str]
) -> tuple[ChatMessage, ...]:
    """The messages with the images that stand beside them in the body, as part of the last question."""
    added = tuple(images.add(source, where) for source, where in beside(data, known, ""))
    if not added:
        return messages
    last = next((at for at in reversed(range(len(messages))) if messages[at].role == "user"), None)
    if last is None:
        raise refused("messages", "There are images beside the messages, but no user message to belong to.")
    question = messages[last]
    return (*messages[:last], replace(question, parts=(*added, *question.parts)), *messages[last + 1 :])


def read_options(data: Data, limits: RequestLimits) -> VisionRequest:
    """Check all of a request but its messages; raises InvalidParameter naming the field."""
    refuse_what_would_lie(data)
    return VisionRequest(
        messages=(),
        max_tokens=_max_tokens(data, limits.max_new_tokens),
        sampling=replace(
            read_sampling(data, limits.temperature), bias=_biases(table(data, "logit_bias") or {})
        ),
        stops=read_stops(data.get("stop")),
        response_format=_response_format(data),
        context_policy=limits.context_policy,
    )


def refuse_what_would_lie(data: Data) -> None:
    """Raise for what OpenAI offers, this service does not, and an answer would seem to have honoured."""
    if integer(data, "n", 1) not in (None, 1):
        raise unsupported("n", "Only one answer can be made at a time: n must be 1.")
    if flag(data, "logprobs"):
        raise unsupported("logprobs", "This service gives no log probabilities.")
    if integer(data, "top_logprobs", 0):
        raise unsupported("top_logprobs", "This service gives no log probabilities.")
    if data.get("function_call") not in (None, "none", "auto"):
        raise unsupported("function_call", "Functions are called through tools and tool_choice here.")
    modalities = data.get("modalities")
    if modalities is not None and modalities != ["text"]:
        raise unsupported("modalities", "This model answers in text only.")
    for name, what in (
        ("audio", "This model answers in text only."),
        ("prediction", "Predicted outputs are not supported."),
        ("web_search_options", "This service does not search the web."),
    ):
        if data.get(name) is not None:
            raise unsupported(name, what)


def refuse_forced_tools(data: Data) -> None:
    """Raise where a call is demanded that this route cannot give."""
    if forces_a_tool(data):
        raise unsupported("tool_choice", "Tools are called in chats only: tool_choice must be none or auto.")


def _max_tokens(data: Data, limit: int) -> int:
    """The later name wins; a large value, or -1, means "as much as there may be"."""
    given = [integer(data, name, -2) for name in ("max_completion_tokens", "max_tokens")]
    wanted = next((value for value in given if value is not None), -1)
    if wanted == 0:
        raise refused("max_tokens", "max_tokens must be an integer of at least 1, or -1 for all that fit.")
    return limit if wanted < 0 else min(limit, wanted)


def _biases(value: dict[str, Any]) -> dict[int, float]:
    if len(value) > MAX_BIASES:
        raise refused("logit_bias", f"logit_bias must name at most {MAX_BIASES} tokens.")
    try:
        if all(_TOKEN_ID.fullmatch(token) for token in value):
            return {int(token): number(value, token, -100, 100, 0.0) for token in value}
    except InvalidParameter:
        pass
    raise refused("logit_bias", "logit_bias must map token ids to numbers from -100 to 100.")


def _response_format(data: Data) -> dict[str, Any] | None:
    value = table(data, "response_format")
    return None if value is None else read_format(value, "response_format", "json_schema")
