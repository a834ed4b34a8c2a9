"""What OpenAI's published specification requires of each object, read from openai/openai-openapi.

Its commit f85dbe22 of 2026-08-21: `CreateChatCompletionResponse`, `CreateChatCompletionStreamResponse`,
`CompletionUsage`, `ErrorResponse`, `Model`, `ListModelsResponse`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

REASONS = ("stop", "length", "tool_calls", "content_filter", "function_call")
_BODY = {"id": str, "choices": list, "created": int, "model": str, "object": str}


def has(value: dict[str, Any], fields: Mapping[str, type | tuple[type, ...]]) -> None:
    """Every field is there, and of its type."""
    for name, kind in fields.items():
        assert name in value, name
        assert isinstance(value[name], kind), (name, value[name])
        assert not (kind is int and isinstance(value[name], bool)), name


def check_completion(value: dict[str, Any]) -> None:
    """A `CreateChatCompletionResponse`."""
    has(value, _BODY)
    assert value["object"] == "chat.completion"
    assert len(value["choices"]) == 1
    for choice in value["choices"]:
        has(choice, {"finish_reason": str, "index": int, "message": dict, "logprobs": (dict, type(None))})
        assert choice["finish_reason"] in REASONS
        message = choice["message"]
        has(message, {"role": str, "content": (str, type(None)), "refusal": (str, type(None))})
        assert message["role"] == "assistant"
    check_usage(value["usage"])


def check_usage(value: dict[str, Any]) -> None:
    """A `CompletionUsage`."""
    has(value, dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), int))
    assert value["total_tokens"] == value["prompt_tokens"] + value["completion_tokens"]
    has(value["prompt_tokens_details"], {"cached_tokens": int})


def check_chunk(value: dict[str, Any]) -> None:
    """A `CreateChatCompletionStreamResponse`."""
    has(value, _BODY)
    assert value["object"] == "chat.completion.chunk"
    for choice in value["choices"]:
        has(choice, {"delta": dict, "finish_reason": (str, type(None)), "index": int})
        assert choice["finish_reason"] in (None, *REASONS)
        assert choice["delta"].get("role", "assistant") == "assistant"
        assert isinstance(choice["delta"].get("content", ""), str)
    if value.get("usage") is not None:
        check_usage(value["usage"])


def check_error(value: dict[str, Any]) -> None:
    """An `ErrorResponse`: `param` and `code` are there even when they are null."""
    has(value, {"error": dict})
    nullable = (str, type(None))
    has(value["error"], {"type": str, "message": str, "param": nullable, "code": nullable})


def check_models(value: dict[str, Any]) -> None:
    """A `ListModelsResponse`."""
    has(value, {"object": str, "data": list})
    assert value["object"] == "list"
    for entry in value["data"]:
        check_model(entry)


def check_model(value: dict[str, Any]) -> None:
    """A `Model`."""
    has(value, {"id": str, "object": str, "created": int, "owned_by": str})
    assert value["object"] == "model"
