"""Nested YAML with the line of everything, for files that people write. Knows no schema.

Anchors, aliases and tags are refused and depth is bounded while the parser's events pass, so that no document
can expand or recurse.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import yaml
from yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, NodeEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from hailo_common.errors import ConfigError, unusable

MAX_BYTES = 1_000_000
_DEEPEST = 6


def read_table(path: Path) -> Table:
    """The mapping that a YAML file is; ConfigError names file and line."""
    text = _read(path)
    try:
        _check_events(path, text)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        told = " ".join((error.problem or error.context or "not YAML").split())
        raise ConfigError(f"{path}:{mark.line + 1 if mark else 1}: {told}") from None
    except (yaml.YAMLError, ValueError, OverflowError):
        raise ConfigError(f"{path}: not plain YAML text") from None
    if not isinstance(root, MappingNode):
        raise ConfigError(f"{path}:1: not a mapping; every line must be `key: value`")
    return Table(path, root)


class Table:
    """One mapping: its values, checked as they are read."""

    def __init__(self, path: Path, node: MappingNode) -> None:
        self._path = path
        self._node = node
        self._values: dict[str, Node] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                raise ConfigError(f"{path}:{_line(key)}: a key must be a plain word")
            if key.value in self._values:
                raise ConfigError(f"{path}:{_line(key)}: {key.value}: given twice")
            self._values[key.value] = value

    def error(self, key: str, text: str) -> ConfigError:
        """A ConfigError for one of the keys, or for the whole mapping."""
        where = f"{self._path}:{_line(self._values.get(key, self._node))}"
        return ConfigError(f"{where}: {key}: {text}" if key else f"{where}: {text}")

    def allow(self, *names: str) -> None:
        """Raise for a key that is none of these."""
        for name in self._values:
            if name not in names:
                raise self.error(name, f"unknown key; known are {', '.join(names)}")

    def has(self, key: str) -> bool:
        """True if the key is there."""
        return key in self._values

    def text(self, key: str, default: str | None = None) -> str:
        """A value as the text that it is written as."""
        node = self._values.get(key)
        if node is None:
            if default is None:
                raise self.error(key, "is missing")
            return default
        if not isinstance(node, ScalarNode) or not _printable(node.value):
            raise self.error(key, "must be one line of text")
        return str(node.value)

    def one_of(self, key: str, *words: str, default: str | None = None) -> str:
        """One of a few words."""
        value = self.text(key, default)
        if value not in words:
            raise self.error(key, f"must be one of {', '.join(filter(None, words))}")
        return value

    def whole(self, key: str, most: int) -> int | None:
        """A whole number from 1 to `most`, None if the key is not there."""
        if not self.has(key):
            return None
        text = self.text(key)
        value = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
        if not 1 <= value <= most:
            raise self.error(key, f"must be a whole number from 1 to {most}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts, empty if the key is not there."""
        node = self._values.get(key)
        if node is None:
            return ()
        if not isinstance(node, SequenceNode) or not all(isinstance(item, ScalarNode) for item in node.value):
            raise self.error(key, "must be a list of texts")
        return tuple(str(item.value) for item in node.value)

    def table(self, key: str) -> Table:
        """A mapping inside this one; an empty value is an empty mapping."""
        node = self._values.get(key)
        if node is None:
            raise self.error(key, "is missing")
        if isinstance(node, ScalarNode) and not node.value:
            node = MappingNode("tag:yaml.org,2002:map", [], node.start_mark, node.end_mark)
        if not isinstance(node, MappingNode):
            raise self.error(key, "must be a mapping")
        return Table(self._path, node)

    def tables(self) -> Iterator[tuple[str, Table]]:
        """All values, each of which must be a mapping."""
        for name in self._values:
            yield name, self.table(name)

    def items(self, key: str) -> list[Table]:
        """A list of mappings."""
        node = self._values.get(key)
        if not isinstance(node, SequenceNode):
            raise self.error(key, "must be a list" if node else "is missing")
        for item in node.value:
            if not isinstance(item, MappingNode):
                raise ConfigError(f"{self._path}:{_line(item)}: {key}: each must be a mapping")
        return [Table(self._path, item) for item in node.value]


def _read(path: Path) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConfigError(f"{path}: not a regular file")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise unusable(path, "read", error) from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_BYTES // 1000} kB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8 text") from None


def _check_events(path: Path, text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        tagged = isinstance(event, NodeEvent) and (event.anchor or getattr(event, "tag", None))
        if tagged or isinstance(event, AliasEvent):
            raise ConfigError(f"{path}:{line}: anchors, aliases and tags are not supported")
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > _DEEPEST:
            raise ConfigError(f"{path}:{line}: nested too deeply")


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


def _printable(value: str) -> bool:
    return len(value) <= 4096 and value.isprintable()
