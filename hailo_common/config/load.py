"""From files to checked settings: defaults, then layers, each later one stronger."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from hailo_common.config.entries import Entry
from hailo_common.config.json_file import read_json
from hailo_common.config.keys import Key, quoted
from hailo_common.config.places import Places
from hailo_common.config.settings import BaseSettings
from hailo_common.config.yaml_file import parse_yaml, read_yaml
from hailo_common.errors import ConfigError

S = TypeVar("S", bound=BaseSettings)


def load(settings: type[S], service: str, places: Places | None = None) -> S:
    """Settings from the YAML layers of this machine."""
    return load_files(settings, (places or Places()).layers(service))


def read_json_config(settings: type[S], service: str, places: Places | None = None) -> S:
    """Settings from the rendered JSON, checked again with the same table."""
    path = (places or Places()).rendered(service)
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

    def __init__(self, keys: Sequence[Key]) -> None:
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
        if entry.fault:
            return f"{entry.fault}; it must be {key.rule.allowed}"
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
