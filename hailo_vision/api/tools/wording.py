"""What a model is told of tools whose chat template has no place for them, and what its engine is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hailo_vision.api.tools.declared import ToolUse
from hailo_vision.protocol import CALL_BEGIN, CALL_END, ChatMessage

CHARACTERS_A_TOKEN = 3
"""Of declarations, at least: an estimate where only the engine's process can count."""


def instruction(use: ToolUse) -> str:
    """How to call which functions, for a system message."""
    listed = "\n".join(json.dumps(tool.declared["function"], ensure_ascii=False) for tool in use.tools)
    return (
        "You can call functions. Each line is one: its name, what it does, and its parameters as a JSON "
        f"schema.\n<tools>\n{listed}\n</tools>\n"
        "To call a function, write nothing but its name and its arguments, in this form:\n"
        f'{CALL_BEGIN}\n{{"name": "NAME", "arguments": {{...}}}}\n{CALL_END}\n{_duty(use)}'
    )


def _duty(use: ToolUse) -> str:
    if use.named:
        return f"Call {use.tools[0].name} now."
    if use.least:
        return "Call one of them now." if use.most == 1 else "Call at least one of them now."
    several = "" if use.most > 1 else " Call one at a time."
    return f"Where no function helps, answer in words.{several}"


def instructed(messages: tuple[ChatMessage, ...], use: ToolUse) -> tuple[ChatMessage, ...]:
    """The messages with the instruction at the end of their system message, which may be new."""
    text = instruction(use)
    first = messages[0]
    if first.role != "system":
        return (ChatMessage("system", (text,)), *messages)
    return (replace(first, parts=(*first.parts, f"\n\n{text}")), *messages[1:])


def tokens(use: ToolUse) -> int:
    """About how many tokens the instruction takes."""
    return len(instruction(use)) // CHARACTERS_A_TOKEN


def tool_format(use: ToolUse, answer: Mapping[str, Any] | None) -> dict[str, Any]:
    """The response format for an engine that can hold an answer to it; `answer` is that of one in words."""
    return {
        "type": "tools",
        "schemas": use.schemas,
        "least": use.least,
        "most": use.most,
        "answer": None if answer is None else dict(answer),
    }
