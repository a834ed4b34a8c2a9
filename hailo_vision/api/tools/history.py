"""Calls of tools and their results in the messages of a request, in the forms of all dialects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hailo_vision.api.fields import refused
from hailo_vision.protocol import Call, ToolResult

MOST_CALLS = 1000
_DEEPEST = 64
_CALL_IDS = ("call_id", "id")
_RESULT_IDS = ("tool_call_id", "tool_use_id", "call_id")


def read_calls(calls: Any, function_call: Any, param: str) -> tuple[Call, ...]:
    """What an assistant's message called: its `tool_calls`, or the earlier API's `function_call`."""
    if calls in (None, []) and function_call is None:
        return ()
    if calls is not None and (not isinstance(calls, list) or len(calls) > MOST_CALLS):
        raise refused(
            f"{param}.tool_calls", f"{param}.tool_calls must be a list of at most {MOST_CALLS} calls."
        )
    more = [{"function": function_call}] if function_call is not None else []
    found = [_call(call) for call in (*(calls or ()), *more)]
    if None in found:
        raise refused(f"{param}.tool_calls", f"Each of {param}.tool_calls must be an object with a function.")
    return tuple(call for call in found if call is not None)


def _call(call: Any) -> Call | None:
    function = call.get("function", call) if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        return None
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        arguments = read_arguments(arguments)
    number = call.get("id") or next((function[name] for name in _CALL_IDS if function.get(name)), "")
    return Call(function["name"], {} if arguments is None else arguments, str(number))


def read_arguments(text: str) -> Any:
    """What the JSON holds; where it is none a model wrote it, and it stays as it is."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text if _too_deep(value) else value


def _too_deep(value: Any) -> bool:
    layer = [value]
    for _ in range(_DEEPEST):
        layer = [
            inner
            for each in layer
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not layer:
            return False
    return True


def read_result(message: Mapping[str, Any]) -> ToolResult:
    """What a tool's message, or Anthropic's part of one, answers."""
    name = message.get("name") or message.get("tool_name")
    number = next((message[key] for key in _RESULT_IDS if message.get(key)), "")
    return ToolResult(name if isinstance(name, str) else "", str(number))
