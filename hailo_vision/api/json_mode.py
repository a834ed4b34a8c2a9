"""Answers that must be JSON, where the backend cannot constrain them: asked for, checked, checked again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from hailo_vision.api.json_schema import Mismatch, check


def parse(text: str, schema: Mapping[str, Any] | bool | None) -> str:
    """The JSON in `text`, without a Markdown fence around it; raises Mismatch, or InvalidParameter.

    Without a schema it must be an object; the schema True takes any JSON.
    """
    bare = _without_fence(text)
    try:
        value = json.loads(bare, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Mismatch("it is not valid JSON") from None
    if schema is None and not isinstance(value, dict):
        raise Mismatch("it is not a JSON object")
    if schema is not None:
        check(value, schema)
    return bare


def instruction(schema: Mapping[str, Any] | None) -> str:
    """What a model is told that nothing constrains."""
    if schema is None:
        return "Answer with one JSON object and nothing else."
    return "Answer with JSON that follows this JSON schema, and nothing else: " + json.dumps(schema)


def correction(why: str) -> str:
    """What a model is told after a wrong answer."""
    return f"That answer cannot be used: {why}. Answer again, with the JSON only."


def _without_fence(text: str) -> str:
    bare = text.strip()
    if bare.startswith("```") and bare.endswith("```") and len(bare) > 6:
        bare = bare[3:-3].removeprefix("json").strip()
    return bare


def _no_constant(_name: str) -> NoReturn:
    raise ValueError
