"""From the body of a request of the Responses API to a checked conversation and how it is answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hailo_vision.api.chat_request import ChatRequest, SentImages, sent_images
from hailo_vision.api.chat_service import ChatService
from hailo_vision.api.fields import Data, flag, integer, refuse_given, refused, string, table, unsupported
from hailo_vision.api.messages import MAX_MESSAGES, check_text
from hailo_vision.api.openai.request import read_options, with_images
from hailo_vision.api.options import read_format
from hailo_vision.api.responses.items import read_input
from hailo_vision.api.responses.store import ResponseStore, StoredResponse
from hailo_vision.api.tools.declared import read_tools
from hailo_vision.protocol import ChatMessage, ContextPolicy, VisionRequest

_SAMPLING = ("temperature", "top_p", "top_k", "seed", "stop", "top_logprobs", "logit_bias")
_PENALTIES = ("frequency_penalty", "presence_penalty", "repetition_penalty")
_KNOWN = ("input", "model", "instructions", "tools", "text", "previous_response_id")
_REFUSED = {
    "background": "Answers are made while the client waits: background must be false.",
    "conversation": "Conversations are not kept here; previous_response_id goes on from an answer.",
    "prompt": "Prompts are not kept here: send instructions and input.",
    "context_management": "Conversations are not edited here.",
}
_MOST_METADATA = 16


@dataclass(frozen=True)
class ResponseRequest:
    """A checked request; `said` are its messages without instructions, `echo` is what an answer repeats."""

    chat: ChatRequest
    said: tuple[ChatMessage, ...]
    echo: dict[str, Any]
    store: bool


def response_request(data: Data, service: ChatService, store: ResponseStore) -> ResponseRequest:
    """What is asked; the caller closes `chat`. Raises InvalidParameter or BadRequest."""
    _refuse_what_is_not_there(data)
    keeps = data.get("store") is None or flag(data, "store")
    engine, tools = _options(data, service), read_tools(data, refuse_others=True)
    echo = _echo(data, engine, keeps=keeps)
    with sent_images(service.limits, keeps=keeps) as images:
        before = _previous(data, store, images)
        said = with_images((*before, *read_input(data.get("input"), images)), data, images, known=_KNOWN)
        if len(said) > MAX_MESSAGES:
            raise refused("input", f"The conversation has more than {MAX_MESSAGES} messages.")
        messages = (*_instructions(data), *said)
        check_text(messages)
        chat = ChatRequest(replace(engine, messages=messages), images, tools)
        return ResponseRequest(chat, said, echo, keeps)


def _refuse_what_is_not_there(data: Data) -> None:
    refuse_given(data, _REFUSED)
    include = data.get("include") or []
    if not isinstance(include, list) or "message.output_text.logprobs" in include:
        raise unsupported("include", "This service gives no log probabilities.")


def _options(data: Data, service: ChatService) -> VisionRequest:
    given = {name: data.get(name) for name in (*_SAMPLING, *_PENALTIES)}
    engine = read_options(given, service.limits)
    length = integer(data, "max_output_tokens", 1)
    return replace(
        engine,
        max_tokens=min(service.limits.max_new_tokens, length or service.limits.max_new_tokens),
        response_format=_format(data),
        context_policy=_policy(data, engine.context_policy),
    )


def _policy(data: Data, usual: ContextPolicy) -> ContextPolicy:
    value = data.get("truncation")
    if value not in (None, "auto", "disabled"):
        raise refused("truncation", "truncation must be auto or disabled.")
    return usual if value is None else "drop_oldest" if value == "auto" else "refuse"


def _format(data: Data) -> Mapping[str, Any] | None:
    wanted = table(table(data, "text") or {}, "format", "text.format") or {}
    return read_format({"type": "text", **wanted}, "text.format")


def _instructions(data: Data) -> tuple[ChatMessage, ...]:
    text = string(data, "instructions") if data.get("instructions") is not None else ""
    return (ChatMessage("system", (text,)),) if text else ()


def _previous(data: Data, store: ResponseStore, images: SentImages) -> tuple[ChatMessage, ...]:
    """The conversation that `previous_response_id` goes on from, its images first among all."""
    if data.get("previous_response_id") is None:
        return ()
    stored: StoredResponse | None = store.mine.get(string(data, "previous_response_id"))
    if stored is None:
        raise refused(
            "previous_response_id",
            "There is no such answer here (any more): few are kept, in memory, for their owner, by the "
            "machine that gave them, and none of store: false. Send the conversation again, without "
            "previous_response_id and with the earlier items in input.",
            "previous_response_not_found",
        )
    for image in stored.images:
        images.take(image.copy(), "previous_response_id")
    return stored.messages


def _echo(data: Data, engine: VisionRequest, *, keeps: bool) -> dict[str, Any]:
    """What every answer says of its request."""
    text = table(data, "text") or {}
    return {
        "background": False,
        "instructions": data.get("instructions"),
        "max_output_tokens": data.get("max_output_tokens"),
        "max_tool_calls": data.get("max_tool_calls"),
        "metadata": _metadata(data),
        "parallel_tool_calls": data.get("parallel_tool_calls") is not False,
        "previous_response_id": data.get("previous_response_id"),
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": keeps,
        "temperature": engine.sampling.temperature,
        "text": {"format": text.get("format") or {"type": "text"}, "verbosity": "medium"},
        "tool_choice": data.get("tool_choice") or "auto",
        "tools": [_tool(tool) for tool in data.get("tools") or ()],
        "top_logprobs": 0,
        "top_p": engine.sampling.top_p,
        "truncation": data.get("truncation") or "disabled",
        "user": data.get("user") if isinstance(data.get("user"), str) else None,
    }


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    """A function, with the fields that its declaration may leave out."""
    function = tool.get("function", tool)
    more = {name: function.get(name) for name in ("name", "description", "parameters")}
    return {"type": "function", **more, "strict": bool(function.get("strict"))}


def _metadata(data: Data) -> dict[str, str]:
    found = table(data, "metadata") or {}
    if len(found) > _MOST_METADATA or not all(isinstance(value, str) for value in found.values()):
        raise refused("metadata", f"metadata must have at most {_MOST_METADATA} names, with texts as values.")
    return found
