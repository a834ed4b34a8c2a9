"""Calls of tools and their results in a conversation, as a chat template takes them or, for others, as text.

The text is in the form in which Qwen's and Hermes' templates write it, which other families read as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from hailo_vision.protocol import Call, ChatMessage, ToolResult


def has_tool_turns(messages: Sequence[ChatMessage]) -> bool:
    """Whether a tool was called in the conversation, or gave something back."""
    return any(message.calls or message.result is not None for message in messages)


def structured(messages: Sequence[ChatMessage], hide: Callable[[Any], Any]) -> list[dict[str, Any]]:
    """The messages for a template that has a place for calls and results; `hide` as in `for_template`, for
    all that JSON has.
    """
    made = []
    for message in _linked(messages):
        shaped = message.for_template(hide)
        if message.calls:
            shaped["tool_calls"] = [_shaped(call, hide) for call in message.calls]
        if message.result is not None:
            shaped |= {"role": "tool", "tool_call_id": message.result.id, "name": hide(message.result.name)}
        made.append(shaped)
    return made


def worded(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """The messages with calls and results as text of the assistant and the user.

    Results become one message with what the user says next to them: many templates refuse two of one role.
    """
    made: list[ChatMessage] = []
    was_result = False
    for message in _linked(messages):
        plain, is_result = _plain(message), message.result is not None
        if made and message.role == made[-1].role == "user" and (was_result or is_result):
            made[-1] = replace(made[-1], parts=(*made[-1].parts, "\n\n", *plain.parts))
        else:
            made.append(plain)
        was_result = is_result
    return made


def _shaped(call: Call, hide: Callable[[Any], Any]) -> dict[str, Any]:
    function = {"name": hide(call.name), "arguments": hide(call.arguments)}
    return {"id": call.id, "type": "function", "function": function}


def _plain(message: ChatMessage) -> ChatMessage:
    parts = message.parts
    if message.result is not None:
        parts = (f"Result of {message.result.name or 'the tool'}:\n", *parts)
    parts += tuple(f"\n{call.text}" for call in message.calls)
    return ChatMessage(message.role, parts)


def _linked(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """The messages with ids of our own, of nine digits as some templates demand, and results that have the id
    and name of their call.
    """
    made, count = [], 0
    open_calls: list[tuple[str, Call]] = []
    for message in messages:
        if message.calls:
            calls = tuple(
                replace(call, id=f"{count + number:09}") for number, call in enumerate(message.calls)
            )
            open_calls = [(before.id, call) for before, call in zip(message.calls, calls, strict=True)]
            count += len(calls)
            message = replace(message, calls=calls)  # noqa: PLW2901
        if message.result is not None:
            message = replace(message, result=_answered(message.result, open_calls, count))  # noqa: PLW2901
        made.append(message)
    return made


def _answered(result: ToolResult, open_calls: list[tuple[str, Call]], count: int) -> ToolResult:
    """The result with id and name of its call among those without one: by its id, else by its name, else the
    first.
    """
    by_id = [at for at, (number, _) in enumerate(open_calls) if result.id and number == result.id]
    by_name = [at for at, (_, call) in enumerate(open_calls) if result.name and call.name == result.name]
    first = [0] if open_calls and not result.name else []
    at = next(iter((*by_id, *by_name, *first)), None)
    if at is None:
        return ToolResult(result.name, f"{count:09}")
    _, call = open_calls.pop(at)
    return ToolResult(call.name, call.id)
