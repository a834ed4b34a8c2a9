"""Tool calls and their results as text, for chat templates that have no place for them.

The form is the one that Qwen's templates use, which other families read as well.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any

from hailo_vision.api.fields import refused


def calls_as_text(calls: Any, function_call: Any, param: str) -> tuple[str, ...]:
    """What an assistant's message says with its `tool_calls` (or the earlier API's `function_call`)."""
    if calls in (None, []) and function_call is None:
        return ()
    if calls is not None and not isinstance(calls, list):
        raise refused(f"{param}.tool_calls", f"{param}.tool_calls must be a list.")
    functions = [_function(call) for call in calls or ()]
    functions += [_function({"function": function_call})] if function_call is not None else []
    if not all(functions):
        raise refused(f"{param}.tool_calls", f"Each of {param}.tool_calls must be an object with a function.")
    return tuple(f"\n<tool_call>\n{json.dumps(function)}\n</tool_call>" for function in functions)


def _function(call: Any) -> dict[str, Any]:
    function = call.get("function", call) if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        return {}
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        # Where it is no JSON, a model wrote it, and it comes back as it was.
        with contextlib.suppress(ValueError, RecursionError):
            arguments = json.loads(arguments)
    return {"name": function["name"], "arguments": {} if arguments is None else arguments}


def result_as_text(message: Mapping[str, Any]) -> str:
    """What stands before the content of a tool's message."""
    name = message.get("name") or message.get("tool_name")
    return f"Result of {name}:\n" if isinstance(name, str) and name else "Result of the tool:\n"
