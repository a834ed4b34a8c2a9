"""A flat YAML mapping, read from the parser's events.

Nothing is constructed from nodes: nesting, anchors, aliases and tags are refused as they pass, so no document
can expand, recurse or name a Python object.

Files as flat lists of entries: name, raw value, line. Knows no table of keys.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import yaml
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentEndEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from hailo_common.config.schema import Raw
from hailo_common.errors import ConfigError, unusable

MAX_FILE_BYTES = 64 * 1024


@dataclass(frozen=True)
class Entry:
    """`name: value` found on a line; `fault` says why the value cannot be one (a mapping, an alias)."""

    name: str
    value: Raw
    line: int
    fault: str = ""


@dataclass(frozen=True)
class Fault:
    """A value that no key may have."""

    text: str


def make_entry(name: str, value: Raw | Fault, line: int) -> Entry:
    """An Entry from what a reader made of a value."""
    return Entry(name, "", line, value.text) if isinstance(value, Fault) else Entry(name, value, line)


def read_text(path: Path) -> str:
    """The file's text; ConfigError for what is no small UTF-8 file."""
    data = _read_bytes(path)
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_FILE_BYTES // 1024} KiB")
    nul = data.find(b"\0")
    if nul >= 0:
        raise ConfigError(f"{path}:{_line_entries(data, nul)}: a NUL byte, this is not a text file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = _line_entries(data, error.start)
        raise ConfigError(f"{path}:{line}: byte 0x{data[error.start]:02x} is not UTF-8") from None


def _read_bytes(path: Path) -> bytes:
    try:
        # Non-blocking: a FIFO under this name must not hang the start.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise unusable(path, "read", error) from None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ConfigError(f"{path}: not a regular file")
        with os.fdopen(fd, "rb", closefd=False) as file:
            return file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise unusable(path, "read", error) from None
    finally:
        os.close(fd)


def _line_entries(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1


_DEEPEST = 8
_NULL = ("", "~", "null", "Null", "NULL")
_NOTHING = Fault("no value is given")
_SHARING = Fault("anchors, aliases and tags are not supported")


def read_yaml(path: Path) -> list[Entry]:
    """The entries of a YAML file, in order; ConfigError names file and line of what is no flat mapping."""
    return parse_yaml(path, read_text(path))


def parse_yaml(path: Path, text: str) -> list[Entry]:
    """The same of a text that stands, or is going to stand, in `path`."""
    try:
        return _Reader(path, text).entries()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ConfigError(f"{path}:{line}: {_readable(error)}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(f"{path}:{line}: a control character, this is not plain text") from None
    except (ValueError, OverflowError):
        # PyYAML lets chr() fail on escapes such as "\UFFFFFFFF".
        raise ConfigError(f"{path}: an escape in a quoted text is not a character") from None


def _readable(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or error.context or "not YAML"
    if "'\\t'" in problem:
        return "a tab character; YAML is indented with spaces"
    return " ".join(problem.split())


def _line(event: Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


class _Reader:
    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._events: Iterator[Event] = iter(yaml.parse(text, Loader=yaml.SafeLoader))

    def entries(self) -> list[Entry]:
        next(self._events)
        if isinstance(next(self._events), StreamEndEvent):
            return []
        found = list(self._document(next(self._events)))
        if not isinstance(following := next(self._events), StreamEndEvent):
            self._fail(following, "a second YAML document; only one is allowed")
        return found

    def _document(self, event: Event) -> Iterator[Entry]:
        if isinstance(event, MappingStartEvent):
            yield from self._mapping()
        elif not (isinstance(event, ScalarEvent) and _scalar(event) is _NOTHING):
            self._fail(event, "not a mapping; every line must be `key: value`")
        if not isinstance(end := next(self._events), DocumentEndEvent):
            self._fail(end, "expected the end of the document")

    def _mapping(self) -> Iterator[Entry]:
        while not isinstance(event := next(self._events), MappingEndEvent):
            name = _scalar(event) if isinstance(event, ScalarEvent) else _SHARING
            if isinstance(name, Fault):
                self._fail(event, "a key must be a plain word")
            yield make_entry(name, self._value(next(self._events)), _line(event))

    def _value(self, event: Event) -> Raw | Fault:
        if isinstance(event, ScalarEvent):
            return _scalar(event)
        if isinstance(event, SequenceStartEvent):
            return self._strings(event)
        if isinstance(event, CollectionStartEvent):
            self._skip()
            return Fault("a mapping")
        return _SHARING

    def _strings(self, start: SequenceStartEvent) -> Raw | Fault:
        items: list[str] = []
        fault = _SHARING if start.anchor or start.tag else None
        while not isinstance(event := next(self._events), SequenceEndEvent):
            item = self._item(event)
            if isinstance(item, str):
                items.append(item)
            else:
                fault = fault or item
        return fault or tuple(items)

    def _item(self, event: Event) -> str | Fault:
        if isinstance(event, ScalarEvent):
            return _scalar(event)
        if isinstance(event, CollectionStartEvent):
            self._skip()
            return Fault("a list of something else than texts")
        return _SHARING

    def _skip(self) -> None:
        depth = 1
        while depth:
            event = next(self._events)
            depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
            if depth > _DEEPEST:
                # PyYAML's time grows with the square of the depth.
                self._fail(event, "nested too deeply")

    def _fail(self, event: Event, text: str) -> NoReturn:
        raise ConfigError(f"{self._path}:{_line(event)}: {text}")


def _scalar(event: ScalarEvent) -> str | Fault:
    if event.anchor is not None or event.tag is not None or isinstance(event, AliasEvent):
        return _SHARING
    if event.style is None and event.value in _NULL:
        return _NOTHING
    return str(event.value)
