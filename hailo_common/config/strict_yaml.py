"""The one reader of YAML: strict, bounded, with the place of everything in the text. Knows no keys.

The tree is built from the parser's events; aliases are not followed and tags construct nothing, so nothing
can expand, recurse or name a Python object.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeVar

import yaml
from yaml.events import (
    DocumentEndEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from hailo_common.config.schema import Raw, Rule, plain_text, string
from hailo_common.errors import ConfigError, unusable

MAX_FILE_BYTES = 64 * 1024
MAX_TABLE_BYTES = 1_000_000
# A manifest: models, model, files, file, urls below the document's own mapping.
MAX_DEPTH = 6
SHARING = "anchors, aliases and tags are not supported"
_NULL = ("", "~", "null", "Null", "NULL")
_NO_MAPPING = "not a mapping; every line must be `key: value`"

T = TypeVar("T")


def read_text(path: Path, max_bytes: int = MAX_FILE_BYTES) -> str:
    """The file's text; ConfigError for what is not a small UTF-8 file."""
    data = _read_bytes(path, max_bytes)
    if len(data) > max_bytes:
        raise ConfigError(f"{path}: larger than {max_bytes // 1024} KiB")
    nul = data.find(b"\0")
    if nul >= 0:
        raise ConfigError(f"{path}:{_line_at(data, nul)}: a NUL byte, this is not a text file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = _line_at(data, error.start)
        raise ConfigError(f"{path}:{line}: byte 0x{data[error.start]:02x} is not UTF-8") from None


def _read_bytes(path: Path, max_bytes: int) -> bytes:
    try:
        # Non-blocking: a FIFO under this name must not hang the start.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise unusable(path, "read", error) from None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ConfigError(f"{path}: not a regular file")
        with os.fdopen(fd, "rb", closefd=False) as file:
            return file.read(max_bytes + 1)
    except OSError as error:
        raise unusable(path, "read", error) from None
    finally:
        os.close(fd)


def _line_at(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1


@dataclass(frozen=True)
class Node:
    """A value, or an alias of one: its line from 1, and the offsets of its first character and of its end."""

    line: int
    start: int
    end: int
    shared: bool
    """It has an anchor or a tag, or is an alias."""


@dataclass(frozen=True)
class Scalar(Node):
    """A single value, as the text that is written there."""

    text: str
    style: str
    """`'`, `"`, `|`, `>`, or empty for plain text."""

    @property
    def null(self) -> bool:
        """Nothing is written there, or one of YAML's words for nothing."""
        return not self.style and not self.shared and self.text in _NULL


@dataclass(frozen=True)
class Sequence(Node):
    """A list; `flow` in brackets."""

    items: tuple[Node, ...]
    flow: bool


@dataclass(frozen=True)
class Mapping(Node):
    """Keys, each a plain word, and values; `flow` in braces. Its keys begin at `column`, from 0."""

    pairs: tuple[tuple[Scalar, Node], ...]
    flow: bool
    column: int = 0


@dataclass(frozen=True)
class Document:
    """A file's text and what it holds: a mapping, or nothing (None, or YAML's word for it)."""

    text: str
    root: Mapping | Scalar | None
    end: int
    """Where the content ends, and another key can be added."""

    @property
    def pairs(self) -> tuple[tuple[Scalar, Node], ...]:
        """The keys and values, in order, duplicates included."""
        return self.root.pairs if isinstance(self.root, Mapping) else ()


def parse(path: Path, text: str) -> Document:
    """The content of a text that stands, or is going to stand, in `path`.

    ConfigError names file and line of what is not a mapping, and of what is too deep.
    """
    try:
        return _Builder(path, text).document()
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


class _Builder:
    """Builds the tree of one text."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._text = text
        self._events: Iterator[Event] = iter(yaml.parse(text, Loader=yaml.SafeLoader))

    def document(self) -> Document:
        next(self._events)
        if isinstance(next(self._events), StreamEndEvent):
            return Document(self._text, None, len(self._text))
        root = self._root(next(self._events))
        ending = next(self._events)
        explicit = isinstance(ending, DocumentEndEvent) and ending.explicit
        if not isinstance(following := next(self._events), StreamEndEvent):
            self._fail(following, "a second YAML document; only one is allowed")
        return Document(self._text, root, _start(ending) if explicit else len(self._text))

    def _root(self, event: Event) -> Mapping | Scalar:
        if isinstance(event, MappingStartEvent):
            return self._mapping(event, 1)
        root = self._node(event, 0) if isinstance(event, ScalarEvent) else None
        if not isinstance(root, Scalar) or not root.null:
            self._fail(event, _NO_MAPPING)
        return root

    def _node(self, event: Event, depth: int) -> Node:
        if isinstance(event, SequenceStartEvent):
            return self._sequence(event, depth + 1)
        if isinstance(event, MappingStartEvent):
            return self._mapping(event, depth + 1)
        if not isinstance(event, ScalarEvent):
            return Node(_line(event), _start(event), _end(event), shared=True)
        shared = event.anchor is not None or event.tag is not None
        return Scalar(_line(event), _start(event), _end(event), shared, str(event.value), event.style or "")

    def _sequence(self, event: SequenceStartEvent, depth: int) -> Sequence:
        self._check_depth(event, depth)
        items: list[Node] = []
        while not isinstance(following := next(self._events), SequenceEndEvent):
            items.append(self._node(following, depth))
        end = _end(following) if event.flow_style or not items else items[-1].end
        return Sequence(
            _line(event), _start(event), end, _tagged(event), tuple(items), bool(event.flow_style)
        )

    def _mapping(self, event: MappingStartEvent, depth: int) -> Mapping:
        self._check_depth(event, depth)
        pairs: list[tuple[Scalar, Node]] = []
        while not isinstance(following := next(self._events), MappingEndEvent):
            pairs.append((self._key(following), self._node(next(self._events), depth)))
        end = _end(following) if event.flow_style or not pairs else pairs[-1][1].end
        flow, column = bool(event.flow_style), event.start_mark.column if event.start_mark else 0
        return Mapping(_line(event), _start(event), end, _tagged(event), tuple(pairs), flow, column)

    def _key(self, event: Event) -> Scalar:
        key = self._node(event, 0) if isinstance(event, ScalarEvent) else None
        if not isinstance(key, Scalar) or key.shared or key.null:
            self._fail(event, "a key must be a plain word")
        return key

    def _check_depth(self, event: Event, depth: int) -> None:
        if depth > MAX_DEPTH:
            # PyYAML's time grows with the square of the depth.
            self._fail(event, "nested too deeply")

    def _fail(self, event: Event, text: str) -> NoReturn:
        raise ConfigError(f"{self._path}:{_line(event)}: {text}")


def _tagged(event: SequenceStartEvent | MappingStartEvent) -> bool:
    return event.anchor is not None or event.tag is not None


def _line(event: Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _start(event: Event) -> int:
    assert event.start_mark
    return int(event.start_mark.index)


def _end(event: Event) -> int:
    assert event.end_mark
    return int(event.end_mark.index)


LINE = string("one line of text", lambda _: True)


def read_table(path: Path) -> Table:
    """The mapping that a YAML file of nested mappings is; ConfigError names file and line."""
    root = parse(path, read_text(path, MAX_TABLE_BYTES)).root
    if not isinstance(root, Mapping):
        raise ConfigError(f"{path}:1: {_NO_MAPPING}")
    _refuse_sharing(path, root)
    return Table(path, root)


def _refuse_sharing(path: Path, node: Node) -> None:
    if node.shared:
        raise ConfigError(f"{path}:{node.line}: {SHARING}")
    for inner in _inner(node):
        _refuse_sharing(path, inner)


def _inner(node: Node) -> Iterable[Node]:
    if isinstance(node, Mapping):
        return [value for _, value in node.pairs]
    return node.items if isinstance(node, Sequence) else ()


class Table:
    """One mapping of such a file: its values, checked as they are read."""

    def __init__(self, path: Path, node: Mapping) -> None:
        self._path = path
        self._line = node.line
        self._values: dict[str, Node] = {}
        for key, value in node.pairs:
            if key.text in self._values:
                raise ConfigError(f"{path}:{key.line}: {key.text}: given twice")
            self._values[key.text] = value

    def error(self, key: str, text: str) -> ConfigError:
        """A ConfigError for one of the keys, or for the whole mapping."""
        line = self._values[key].line if key in self._values else self._line
        where = f"{self._path}:{line}"
        return ConfigError(f"{where}: {key}: {text}" if key else f"{where}: {text}")

    def allow(self, *names: str) -> None:
        """Raise for a key that is none of these."""
        for name in self._values:
            if name not in names:
                raise self.error(name, f"unknown key; known are {', '.join(names)}")

    def value(self, key: str, rule: Rule[T], default: T | None = None) -> T:
        """A value that the rule allows, else the default; raise where the key is missing and has none."""
        value = self.find(key, rule)
        value = default if value is None else value
        if value is None:
            raise self.error(key, "is missing")
        return value

    def find(self, key: str, rule: Rule[T]) -> T | None:
        """A value that the rule allows, None if the key is not there.

        Of several spellings of one value only the plainest is taken: people review what programs wrote.
        """
        node = self._values.get(key)
        if node is None:
            return None
        try:
            raw = _raw(node)
            value = rule.convert(raw)
        except ValueError:
            raise self.error(key, f"must be {rule.allowed}") from None
        if isinstance(raw, str) and plain_text(value) != raw:
            raise self.error(key, f"must be {rule.allowed}, written {plain_text(value)}")
        return value

    def table(self, key: str) -> Table:
        """A mapping inside this one; an empty value is an empty mapping."""
        node = self._values.get(key)
        if node is None:
            raise self.error(key, "is missing")
        if isinstance(node, Scalar) and not node.text:
            node = Mapping(node.line, node.start, node.end, node.shared, (), flow=False)
        if not isinstance(node, Mapping):
            raise self.error(key, "must be a mapping")
        return Table(self._path, node)

    def tables(self) -> Iterator[tuple[str, Table]]:
        """All values, each of which must be a mapping."""
        for name in self._values:
            yield name, self.table(name)

    def items(self, key: str) -> list[Table]:
        """A list of mappings."""
        node = self._values.get(key)
        if not isinstance(node, Sequence):
            raise self.error(key, "must be a list" if node else "is missing")
        return [Table(self._path, self._item(key, item)) for item in node.items]

    def _item(self, key: str, item: Node) -> Mapping:
        if not isinstance(item, Mapping):
            raise ConfigError(f"{self._path}:{item.line}: {key}: each must be a mapping")
        return item


def _raw(node: Node) -> Raw:
    """A scalar's text or a list's texts; ValueError for anything else."""
    if isinstance(node, Scalar):
        return node.text
    items = node.items if isinstance(node, Sequence) else (node,)
    texts = tuple(item.text for item in items if isinstance(item, Scalar))
    if len(texts) < len(items):
        raise ValueError
    return texts
