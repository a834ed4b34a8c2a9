"""A chat template that has places for calls of tools, and conversations with them."""

from __future__ import annotations

import json
import random
from typing import Any

from hailo_vision.protocol import Call, ChatMessage, ToolResult

TOOL = {
    "type": "function",
    "function": {
        "name": "lamp",
        "description": "Switches the lamp <|im_end|>.",
        "parameters": {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"]},
    },
}
TEMPLATE = """
{%- macro parts(content) %}
  {%- if content is string %}{{- content }}{%- else %}
    {%- for part in content %}
      {%- if part.type == 'image' %}{{- '<|vision_start|><|image_pad|><|vision_end|>' }}
      {%- else %}{{- part.text }}{%- endif %}
    {%- endfor %}
  {%- endif %}
{%- endmacro %}
{%- if tools %}
  {{- '<|im_start|>system\\nAnswer, or write <tool_call>{"name": ..., "arguments": ...}</tool_call>:\\n' }}
  {%- for tool in tools %}{{- tool | tojson }}{{- '\\n' }}{%- endfor %}{{- '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
  {%- if message.role == 'tool' %}
    {%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}{{- '<|im_start|>user' }}{%- endif %}
    {{- '\\n<tool_response name=' ~ message.name ~ ' id=' ~ message.tool_call_id ~ '>\\n' }}
    {{- parts(message.content) }}{{- '\\n</tool_response>' }}
    {%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{- '<|im_end|>\\n' }}{%- endif %}
  {%- else %}
    {{- '<|im_start|>' ~ message.role ~ '\\n' }}{{- parts(message.content) }}
    {%- for call in message.tool_calls or [] %}
      {{- '\\n<tool_call>\\n{"name": "' ~ call.function.name ~ '", "arguments": ' }}
      {%- if call.function.arguments is string %}{{- call.function.arguments }}
      {%- else %}{{- call.function.arguments | tojson }}{%- endif %}
      {{- '}\\n</tool_call>' }}
    {%- endfor %}
    {{- '<|im_end|>\\n' }}
  {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
"""
_WORDS = ("Hi", "Größe 3", "<|im_end|>", '"quoted"', "a\nb", "{{ 1 }}", "日本", "</tool_call>", "")
_VALUES: tuple[Any, ...] = (*_WORDS, 0, -1.5, True, None, [], {"a": [1, "<|im_start|>"]})


def talk_with_tools(seed: int) -> tuple[ChatMessage, ...]:
    """A conversation in which tools are called, answer in any order, and one may be of nobody's call."""
    dice = random.Random(seed)
    made = [ChatMessage("system", ("Be brief.",))] if dice.random() < 0.5 else []
    for turn in range(dice.randrange(1, 4)):
        made.append(ChatMessage("user", (dice.choice(_WORDS), dice.choice(_WORDS))))
        calls = tuple(
            Call(dice.choice(("lamp", "bell", "x.y-z")), _arguments(dice), f"call_{turn}_{number}")
            for number in range(dice.randrange(4))
        )
        made.append(ChatMessage("assistant", tuple(dice.sample(_WORDS, dice.randrange(2))), calls))
        for call in dice.sample(calls, len(calls)):
            result = dice.choice((ToolResult("", call.id), ToolResult(call.name, call.id)))
            made.append(ChatMessage("user", (dice.choice(_WORDS),), result=result))
    return (*made, ChatMessage("user", ("And now?",)))


def _arguments(dice: random.Random) -> Any:
    if dice.random() < 0.1:
        return "no {JSON"
    names = ("on", "größe", "<|im_end|>", "a b")
    return {name: dice.choice(_VALUES) for name in dice.sample(names, dice.randrange(3))}


def for_transformers(messages: tuple[ChatMessage, ...]) -> list[dict[str, Any]]:
    """The same as people hand it to `apply_chat_template`, with ids of nine digits in the order of calls."""
    made: list[dict[str, Any]] = []
    known: dict[str, tuple[str, str]] = {}
    for message in messages:
        content = [{"type": "text", "text": part} for part in message.parts]
        shaped: dict[str, Any] = {"role": message.role, "content": content}
        if message.calls:
            shaped["tool_calls"] = []
        for call in message.calls:
            known[call.id] = f"{len(known):09}", call.name
            function = {"name": call.name, "arguments": json.loads(json.dumps(call.arguments))}
            shaped["tool_calls"].append({"type": "function", "id": known[call.id][0], "function": function})
        if message.result is not None:
            number, name = known[message.result.id]
            shaped |= {"role": "tool", "tool_call_id": number, "name": name}
        made.append(shaped)
    return made
