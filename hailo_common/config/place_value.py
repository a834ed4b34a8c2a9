"""Puts one value into the text of a YAML file: in place, after its commented-out line, or at the end."""

from __future__ import annotations

import json
import re

from hailo_common.config.keys import Key, shown
from hailo_common.config.rules import Value
from hailo_common.config.spans import Layout, Span
from hailo_common.errors import ConfigError


def replace(text: str, key: Key, span: Span, value: Value) -> str:
    """`text` with another value at `span`, in the quotes that stand there; ConfigError if that is hard."""
    if span.style == "odd":
        raise ConfigError(f"{_where(text, span)}: {key.name}: not a plain value; change it with an editor")
    if span.style == "block" and "#" in text[span.start : span.end]:
        raise ConfigError(f"{_where(text, span)}: {key.name}: a list with comments; change it with an editor")
    new = _written(value, span.style)
    if text[: span.start].endswith(":"):
        new = f" {new}"
    return text[: span.start] + new + text[span.end :]


def insert(text: str, places: Layout, key: Key, value: Value) -> str:
    """`text` with a new line for the key: after its last commented-out line, else at the end."""
    if places.flow:
        raise ConfigError(f"{key.name}: the file is written in braces; add the key with an editor")
    end = "\r\n" if "\r\n" in text else "\n"
    line = f"{places.indent}{key.name}: {_written(value, '')}{end}"
    at = _after_comment(text, places, key.name)
    if at is None:
        at = places.tail
    before = text[:at]
    return before + ("" if not before or before.endswith("\n") else end) + line + text[at:]


def comment_out(text: str, places: Layout, span: Span) -> str:
    """`text` with a `#` before each line of the key."""
    if places.flow:
        raise ConfigError(f"{span.name}: the file is written in braces; take the key out with an editor")
    start = text.rfind("\n", 0, span.key) + 1
    until = text.find("\n", max(span.end - 1, span.key))
    end = len(text) if until < 0 else until
    return text[:start] + re.sub(r"(?m)^", "#", text[start:end]) + text[end:]


def _after_comment(text: str, places: Layout, name: str) -> int | None:
    found = None
    for match in re.finditer(rf"(?m)^#[ \t]?{re.escape(name)}[ \t]*:.*(\n|\Z)", text):
        inside = any(span.key < match.start() < span.end for span in places.spans)
        if not inside and match.end() <= places.tail:
            found = match.end()
    return found


def _written(value: Value, style: str) -> str:
    if isinstance(value, tuple):
        return shown(value)
    plain = value if isinstance(value, str) else shown(value)
    if style == "'":
        return "'" + plain.replace("'", "''") + "'"
    return json.dumps(plain, ensure_ascii=False) if style == '"' else shown(value)


def _where(text: str, span: Span) -> str:
    return f"line {text.count(chr(10), 0, span.key) + 1}"
