"""From files, layered YAML or rendered JSON, to checked settings: each later file is stronger."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from hailo_common.config import strict_yaml
from hailo_common.config.common_keys import BaseSettings
from hailo_common.config.paths import Paths
from hailo_common.config.schema import ConfigKey, Raw, quoted
from hailo_common.config.strict_yaml import read_text
from hailo_common.errors import ConfigError


@dataclass(frozen=True)
class Fault:
    """Why a value is one that no key may have (a mapping, an alias)."""

    text: str


@dataclass(frozen=True)
class Entry:
    """`name: value` found on a line."""

    name: str
    value: Raw | Fault
    line: int


_NOTHING = Fault("no value is given")
_SHARED = Fault(strict_yaml.SHARING)
_MAPPING = Fault("a mapping")
_MIXED = Fault("a list of something other than strings")


def read_yaml(path: Path) -> list[Entry]:
    """The entries of a YAML file, in order; ConfigError names file and line of what is not a mapping."""
    return parse_yaml(path, read_text(path))


def parse_yaml(path: Path, text: str) -> list[Entry]:
    """The same of a text that stands, or is going to stand, in `path`."""
    return [Entry(key.text, _of_node(value), key.line) for key, value in strict_yaml.parse(path, text).pairs]


def _of_node(node: strict_yaml.Node) -> Raw | Fault:
    if isinstance(node, strict_yaml.Mapping):
        return _MAPPING
    if isinstance(node, strict_yaml.Sequence):
        items = [_SHARED if node.shared else "", *map(_item, node.items)]
        faults = [item for item in items if isinstance(item, Fault)]
        return faults[0] if faults else tuple(item for item in items[1:] if isinstance(item, str))
    return _of_scalar(node)


def _item(node: strict_yaml.Node) -> str | Fault:
    mixed = isinstance(node, strict_yaml.Mapping | strict_yaml.Sequence)
    return _MIXED if mixed else _of_scalar(node)


def _of_scalar(node: strict_yaml.Node) -> str | Fault:
    if node.shared or not isinstance(node, strict_yaml.Scalar):
        return _SHARED
    return _NOTHING if node.null else node.text


class _Pairs(list[tuple[str, Any]]):
    """A JSON object with its duplicates."""


def read_json(path: Path) -> list[Entry]:
    """The entries of a JSON object, in order; ConfigError names file and line."""
    text = read_text(path)
    try:
        document = json.loads(text, object_pairs_hook=_Pairs)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}:{error.lineno}: not JSON: {error.msg}") from None
    except (RecursionError, ValueError):
        raise ConfigError(f"{path}: not JSON that a configuration may contain") from None
    if not isinstance(document, _Pairs):
        raise ConfigError(f"{path}:1: not a mapping; the file must be one JSON object")
    return [Entry(name, _of_json(value), _line(text, name)) for name, value in document]


def _of_json(value: Any) -> Raw | Fault:
    if isinstance(value, str):
        return value
    if value is None:
        return _NOTHING
    if isinstance(value, _Pairs):
        return _MAPPING
    if isinstance(value, list):
        return tuple(value) if all(isinstance(item, str) for item in value) else _MIXED
    return json.dumps(value)


def _line(text: str, name: str) -> int:
    quoted = re.escape(json.dumps(name, ensure_ascii=False))
    found = re.search(rf"^[\s{{,]*{quoted}\s*:", text, re.MULTILINE)
    return text.count("\n", 0, found.end()) + 1 if found else 1


S = TypeVar("S", bound=BaseSettings)


def load(settings: type[S], service: str, places: Paths | None = None) -> S:
    """Settings from the YAML layers of this machine."""
    return load_files(settings, (places or Paths()).layers(service))


def read_json_config(settings: type[S], service: str, places: Paths | None = None) -> S:
    """Settings from the rendered JSON, checked again with the same table."""
    path = (places or Paths()).rendered(service)
    if not path.exists():
        raise ConfigError(
            f"{path}: no such file; create it with `hailo-render-config {service}`, or try --demo"
        )
    return load_files(settings, [path])


def load_files(settings: type[S], paths: Iterable[Path], texts: Mapping[Path, str] | None = None) -> S:
    """Settings from these files, the last one strongest; `.json` is JSON, all else YAML.

    `texts` stand in for the content of files that are not written yet. The ConfigError has one line per
    problem of all files.
    """
    merge = _Merge(settings.table())
    for path in paths:
        try:
            merge.add(path, _entries(path, texts or {}))
        except ConfigError as error:
            merge.problems.append(str(error))
    merge.raise_problems()
    loaded = settings(**merge.values, sources=merge.sources)
    check_together(loaded)
    return loaded


def _entries(path: Path, texts: Mapping[Path, str]) -> list[Entry]:
    if path in texts:
        return parse_yaml(path, texts[path])
    return read_json(path) if path.suffix == ".json" else read_yaml(path)


def check_together(settings: BaseSettings) -> None:
    """Raise ConfigError for values that contradict each other."""
    problems = [f"{_origin(settings, names)}: {text}" for names, text in settings.conflicts()]
    if problems:
        raise ConfigError("\n".join(problems))


def _origin(settings: BaseSettings, names: Sequence[str]) -> str:
    sources = [f"{settings.source(name)}: {name}" for name in names if name in settings.sources]
    return ", ".join(sources) or "default"


class _Merge:
    """Values of all files so far, and all that is wrong with them."""

    def __init__(self, keys: Sequence[ConfigKey]) -> None:
        self._keys = {key.name: key for key in keys}
        self.values: dict[str, Any] = {}
        self.sources: dict[str, str] = {}
        self.problems: list[str] = []

    def add(self, path: Path, entries: Iterable[Entry]) -> None:
        first_lines: dict[str, int] = {}
        for entry in entries:
            where = f"{path}:{entry.line}"
            problem = self._take(entry, where)
            if entry.name in first_lines:
                problem = f"given twice, first on line {first_lines[entry.name]}"
            if problem:
                self.problems.append(f"{where}: {_name(entry.name)}: {problem}")
            first_lines.setdefault(entry.name, entry.line)

    def raise_problems(self) -> None:
        if self.problems:
            raise ConfigError("\n".join(self.problems))

    def _take(self, entry: Entry, where: str) -> str:
        key = self._keys.get(entry.name)
        if key is None:
            return unknown_key(entry.name, self._keys)
        if isinstance(entry.value, Fault):
            return f"{entry.value.text}; it must be {key.rule.allowed}"
        try:
            self.values[key.name] = key.convert(entry.value)
        except ValueError as error:
            return str(error)
        self.sources[key.name] = where
        return ""


def unknown_key(name: str, known: Iterable[str]) -> str:
    """What is wrong with a key that no table has, with the one that was perhaps meant."""
    wanted = name.lower().replace("-", "_")[:64]
    near = difflib.get_close_matches(wanted, known, n=1)
    return "unknown key" + (f'; did you mean "{near[0]}"?' if near else "")


def _name(name: str) -> str:
    return name if name.isidentifier() and name.isascii() and len(name) <= 60 else quoted(name)
