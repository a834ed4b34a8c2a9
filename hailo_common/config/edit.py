"""Changes values in an administrator's YAML and leaves every other byte as it is.

The rules, of which each has cost somebody a configuration: compare values, not text; keep quotes, comments,
line ends and mode; check the result with the program's own loader before it replaces the file.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hailo_common.config.common_keys import BaseSettings
from hailo_common.config.load import load_files, unknown_key
from hailo_common.config.paths import Paths
from hailo_common.config.schema import ConfigKey, Raw, Value, quoted
from hailo_common.config.strict_yaml import parse_yaml, read_text
from hailo_common.config.yaml_edit import comment_out, insert, layout, replace
from hailo_common.errors import ConfigError, unusable
from hailo_common.files import remove_stray, write_atomic

_HEAD = """\
# Settings of {service}. Values can be changed here, with `hailo-ctl config set` or with
# dpkg-reconfigure; everything else in this file is left alone.
# All keys with their defaults: /usr/share/{service}/{service}.yaml
"""
_BOM = "\ufeff"


@dataclass(frozen=True)
class Change:
    """One value that was changed, as text that may be shown; `after` is empty where the key was taken out."""

    name: str
    before: str
    after: str
    overridden_by: str = ""
    """`FILE:LINE` of a stronger file that holds the key too, so that the change has no effect."""


class Editor:
    """Edits one YAML file of one program."""

    def __init__(self, service: str, settings: type[BaseSettings], places: Paths, path: Path | None = None):
        self.service = service
        self.path = path or places.admin(service)
        self._settings = settings
        self._keys = {key.name: key for key in settings.table()}
        package = places.package(service)
        self._weaker = [package] if package.exists() else []
        self._stronger = places.dropins(service)

    def apply(self, wanted: Mapping[str, Raw | None]) -> list[Change]:
        """Set these keys, or take out those that are None; returns what changed, nothing if nothing had to.

        ConfigError says what is wrong with the values or with the file; then the file is as it was.
        """
        values = {name: self._value(self.key(name), raw) for name, raw in wanted.items()}
        with _locked(self.path.parent):
            before = read_text(self.path) if self.path.exists() else _HEAD.format(service=self.service)
            old = self._values_of(before, wanted)
            after = before
            for name, value in values.items():
                after = self._edited(after, self._keys[name], value)
            if after == before:
                remove_stray(self.path)
                return []
            self._check(after)
            self._write(after)
        return self._changes(old, values)

    def key(self, name: str) -> ConfigKey:
        """The key of that name; ConfigError with a hint where there is none."""
        if name not in self._keys:
            raise ConfigError(f"{quoted(name)}: {unknown_key(name, self._keys)}")
        return self._keys[name]

    def _value(self, key: ConfigKey, raw: Raw | None) -> Value | None:
        try:
            return None if raw is None else key.convert(raw)
        except ValueError as error:
            raise ConfigError(f"{key.name}: {error}") from None

    def _edited(self, text: str, key: ConfigKey, value: Value | None) -> str:
        try:
            return self._placed(text, key, value)
        except ConfigError as error:
            raise ConfigError(f"{self.path}: {error}") from None

    def _placed(self, text: str, key: ConfigKey, value: Value | None) -> str:
        places = layout(text)
        span = places.find(key.name)
        if value is None:
            return comment_out(text, places, span) if span else text
        if span is None:
            return text if value == self._default(key) else insert(text, places, key, value)
        same = self._values_of(text, [key.name]).get(key.name) == value
        return text if same else replace(text, key, span, value)

    def _default(self, key: ConfigKey) -> Value:
        default: Value = getattr(load_files(self._settings, self._weaker), key.name)
        return default

    def _values_of(self, text: str, names: Mapping[str, object] | list[str]) -> dict[str, Value]:
        """The values of the keys in a text; a value that its key refuses is left out."""
        found = {}
        for entry in parse_yaml(self.path, text):
            if entry.name in names and not entry.fault:
                with contextlib.suppress(ValueError):
                    found[entry.name] = self._keys[entry.name].convert(entry.value)
        return found

    def _check(self, text: str) -> None:
        paths = [*self._weaker, self.path, *self._stronger]
        try:
            load_files(self._settings, paths, {self.path: text})
        except ConfigError as error:
            raise ConfigError(f"{error}\n{self.path}: not changed") from None

    def _write(self, text: str) -> None:
        values = self._values_of(text, self._keys)
        secret = any(self._keys[name].secret and values[name] != self._keys[name].default for name in values)
        try:
            data = text.encode()
            if self.path.exists() and self.path.read_bytes().startswith(_BOM.encode()):
                data = _BOM.encode() + data
            write_atomic(self.path, data, 0o640 if secret else 0o644)
        except OSError as error:
            raise unusable(self.path, "written", error) from None

    def _changes(self, old: Mapping[str, Value], new: Mapping[str, Value | None]) -> list[Change]:
        effective = load_files(self._settings, [*self._weaker, self.path, *self._stronger])
        changes = []
        for name, value in new.items():
            key, was = self._keys[name], old.get(name)
            if value == was:
                continue
            source = effective.source(name)
            stronger = "" if source == "default" or _same_file(source, [*self._weaker, self.path]) else source
            told = [key.shown(each) if each is not None else "" for each in (was, value)]
            changes.append(Change(name, told[0], told[1], stronger))
        return changes


def _same_file(source: str, paths: list[Path]) -> bool:
    return source.rpartition(":")[0] in map(str, paths)


def raw_value(key: ConfigKey, words: str) -> Raw:
    """What somebody typed for a key: lists are `a,b` or `[a, b]`, the empty text is the empty list."""
    if key.type is not tuple:
        return words
    inner = re.fullmatch(r"\[(.*)\]", words.strip())
    items = (inner[1] if inner else words).split(",")
    return tuple(item.strip().strip("'\"") for item in items if item.strip())


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Two editors at once would lose one's change."""
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise unusable(folder, "used", error) from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
