"""Where the values of a YAML file stand, to the character, so that one can be replaced and nothing else.

Reads the same events as `yaml_file`, which has to accept the text first.
"""

from __future__ import annotations

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
