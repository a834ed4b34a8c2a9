"""Where the values of a YAML file stand, to the character, so that one can be replaced and nothing else.

Reads the same events as `yaml_file`, which has to accept the text first.

Puts one value into the text of a YAML file: in place, after its commented-out line, or at the end.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import yaml
from yaml.events import (
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentEndEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceStartEvent,
)

from hailo_common.config.schema import ConfigKey, Value, shown
from hailo_common.errors import ConfigError


@dataclass(frozen=True)
class Span:
    """One `name: value`: offsets of the name's first character, of the value and of the value's end."""

    name: str
    key: int
    start: int
    end: int
    style: str
    """`'`, `"` or empty for a plain text, `flow` and `block` for lists, `odd` for what no key may have."""


@dataclass(frozen=True)
class Layout:
    """A file's values, and where another one can be added."""

    spans: tuple[Span, ...]
    tail: int
    """Where the document's content ends."""
    indent: str
    flow: bool
    """The whole mapping is written in braces."""

    def find(self, name: str) -> Span | None:
        """The place of a key's value, None where the file does not have the key."""
        return next((span for span in self.spans if span.name == name), None)


def layout(text: str) -> Layout:
    """The places of all values of a text that is a flat mapping, or empty."""
    events = iter(list(yaml.parse(text, Loader=yaml.SafeLoader)))
    spans: tuple[Span, ...] = ()
    tail, column, flow = len(text), 0, False
    for event in events:
        if isinstance(event, MappingStartEvent):
            column, flow = _column(event), bool(event.flow_style)
            spans = tuple(_spans(text, events))
        elif isinstance(event, DocumentEndEvent) and event.explicit:
            tail = _start(event)
        elif isinstance(event, ScalarEvent) and event.value:
            raise ConfigError("not a mapping; every line must be `key: value`")
    return Layout(spans, tail, " " * column, flow)


def _spans(text: str, events: Iterator[Event]) -> Iterator[Span]:
    while not isinstance(name := next(events), MappingEndEvent):
        assert isinstance(name, ScalarEvent)
        value = next(events)
        start, end, style = _extent(value, events)
        if style == "block":
            # A list in braces must not begin at the column of its key, so it replaces from the colon on.
            start = text.index(":", _end(name)) + 1
        yield Span(str(name.value), _start(name), start, end, style)


def _extent(value: Event, events: Iterator[Event]) -> tuple[int, int, str]:
    if isinstance(value, ScalarEvent):
        shared = value.anchor is not None or value.tag is not None
        style = "odd" if shared or value.style in ("|", ">") else value.style or ""
        return _start(value), _end(value), style
    if not isinstance(value, CollectionStartEvent):
        return _start(value), _end(value), "odd"
    simple = isinstance(value, SequenceStartEvent) and value.anchor is None and value.tag is None
    depth = 1
    last: Event = value
    while depth:
        event = next(events)
        simple = simple and (isinstance(event, ScalarEvent) or depth == 1)
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth or value.flow_style:
            last = event
    style = ("flow" if value.flow_style else "block") if simple else "odd"
    return _start(value), _end(last), style


def _start(event: Event) -> int:
    assert event.start_mark
    return int(event.start_mark.index)


def _end(event: Event) -> int:
    assert event.end_mark
    return int(event.end_mark.index)


def _column(event: Event) -> int:
    assert event.start_mark
    return int(event.start_mark.column)


def replace(text: str, key: ConfigKey, span: Span, value: Value) -> str:
    """`text` with another value at `span`, in the quotes that stand there; ConfigError if that is hard."""
    if span.style == "odd":
        raise ConfigError(f"{_where(text, span)}: {key.name}: not a plain value; change it with an editor")
    if span.style == "block" and "#" in text[span.start : span.end]:
        raise ConfigError(f"{_where(text, span)}: {key.name}: a list with comments; change it with an editor")
    new = _written(value, span.style)
    if text[: span.start].endswith(":"):
        new = f" {new}"
    return text[: span.start] + new + text[span.end :]


def insert(text: str, places: Layout, key: ConfigKey, value: Value) -> str:
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
