"""Tools that a request declares, whatever its dialect, and which of them may or must be called."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hailo_vision.api.fields import Data, flag, refused, unsupported
from hailo_vision.api.options import closed

MOST_TOOLS = 1000
MOST_CALLS = 8
"""Calls in one answer: a weak model would go on for ever."""
MAX_TEXT = 256 * 1024
"""Characters of all declarations together."""
_NAME = re.compile(r"[A-Za-z0-9_.:/@-]{1,128}")
_FUNCTIONS = (None, "function", "custom")
_SCHEMAS = ("parameters", "input_schema", "inputSchema")
_NOTHING: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}


@dataclass(frozen=True)
class Tool:
    """A function that a model may call; `parameters` is a JSON schema that allows no other arguments."""

    name: str
    description: str
    parameters: dict[str, Any]

    @property
    def declared(self) -> dict[str, Any]:
        """As chat templates take it."""
        function = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return {"type": "function", "function": function}


@dataclass(frozen=True)
class ToolUse:
    """From `least` to `most` calls of `tools` are wanted; `named` where the request names the one to call."""

    tools: tuple[Tool, ...]
    least: int = 0
    most: int = MOST_CALLS
    named: bool = False

    @property
    def schemas(self) -> dict[str, dict[str, Any]]:
        """What the arguments of each must be, by name."""
        return {tool.name: tool.parameters for tool in self.tools}


def read_tools(data: Data, *, refuse_others: bool = False) -> ToolUse | None:
    """What `tools` and `tool_choice` of a body ask for; None where no function may be called.

    Takes OpenAI's form, nested or flat, and Anthropic's. Tools that are no functions are left out, or refused
    where an answer would seem to have used them. Raises InvalidParameter naming the field.
    """
    mode, name = _choice(data.get("tool_choice"))
    tools = _tools(data.get("tools"), refuse_others=refuse_others)
    if mode == "allowed":
        mode, tools = _allowed(data["tool_choice"], tools)
    if mode == "none" or (mode == "auto" and not tools):
        return None
    if not name and data.get("tools") is None:
        # LlamaIndex says `required` with no tools at all where it means to read JSON in a text.
        return None
    if not tools:
        raise refused("tool_choice", "tool_choice asks for a call, but tools has no function to call.")
    if name:
        tools = tuple(tool for tool in tools if tool.name == name)
        if not tools:
            raise refused("tool_choice", "tool_choice names a function that is not among tools.")
    most = 1 if name or not _parallel(data) else MOST_CALLS
    return ToolUse(tools, 0 if mode == "auto" else 1, most, named=bool(name))


def forces_a_tool(data: Data) -> bool:
    """Whether a body demands a call, which only some routes can give."""
    return _choice(data.get("tool_choice"))[0] not in ("none", "auto")


def _choice(value: Any) -> tuple[str, str]:
    """Mode (none, auto, required, allowed) and name of a `tool_choice`."""
    if isinstance(value, str):
        value = {"type": value}
    if value is None:
        return "auto", ""
    if isinstance(value, dict):
        kind, inner = value.get("type"), value.get("function", value)
        name = inner.get("name") if isinstance(inner, dict) else None
        if kind in ("none", "auto"):
            return kind, ""
        if kind in ("required", "any"):
            return "required", ""
        if kind == "allowed_tools":
            return "allowed", ""
        if kind in ("function", "tool", None) and isinstance(name, str) and name:
            return "required", name
    raise refused(
        "tool_choice", "tool_choice must be none, auto, required, or an object that names a function."
    )


def _allowed(choice: Mapping[str, Any], tools: tuple[Tool, ...]) -> tuple[str, tuple[Tool, ...]]:
    """OpenAI's `allowed_tools`: some of the tools, and auto or required."""
    inner = choice.get("allowed_tools", choice)
    listed = inner.get("tools") if isinstance(inner, dict) else None
    if not isinstance(listed, list) or inner.get("mode") not in ("auto", "required"):
        raise refused("tool_choice", "allowed_tools must have a mode, auto or required, and a list of tools.")
    functions = [each.get("function", each) for each in listed if isinstance(each, dict)]
    names = [each.get("name") for each in functions if isinstance(each, dict)]
    return str(inner["mode"]), tuple(tool for tool in tools if tool.name in names)


def _parallel(data: Data) -> bool:
    choice = data.get("tool_choice")
    if isinstance(choice, dict) and flag(choice, "disable_parallel_tool_use", "tool_choice"):
        return False
    return data.get("parallel_tool_calls") is None or flag(data, "parallel_tool_calls")


def _tools(value: Any, *, refuse_others: bool) -> tuple[Tool, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > MOST_TOOLS:
        raise refused("tools", f"tools must be a list of at most {MOST_TOOLS} tools.")
    found: dict[str, Tool] = {}
    for index, each in enumerate(value):
        tool = _tool(each, f"tools[{index}]", refuse_others=refuse_others)
        if tool is not None:
            found[tool.name] = tool
    size = sum(len(json.dumps(tool.declared)) for tool in found.values())
    if size > MAX_TEXT:
        raise refused("tools", f"All tools together have {size} characters; at most {MAX_TEXT} are read.")
    return tuple(found.values())


def _tool(value: Any, param: str, *, refuse_others: bool) -> Tool | None:
    if not isinstance(value, dict):
        raise refused(param, f"{param} must be an object.")
    function = value.get("function", value)
    if value.get("type") not in _FUNCTIONS or "custom" in value:
        if refuse_others:
            raise unsupported(
                f"{param}.type", "This service runs no tools of its own: type must be function."
            )
        return None
    if not isinstance(function, dict):
        raise refused(f"{param}.function", f"{param}.function must be an object.")
    name, description = function.get("name"), function.get("description")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise refused(f"{param}.name", f"{param}.name must have 1 to 128 letters, digits and _.:/@- in it.")
    schema = next((function[key] for key in _SCHEMAS if function.get(key) is not None), _NOTHING)
    if not isinstance(schema, dict):
        raise refused(f"{param}.parameters", f"{param}.parameters must be a JSON schema.")
    return Tool(name, description if isinstance(description, str) else "", _of_object(schema))


def _of_object(schema: dict[str, Any]) -> dict[str, Any]:
    """Arguments are an object, whether the schema says so or not, and have no keys that nobody described."""
    return closed({"type": "object", **schema})
