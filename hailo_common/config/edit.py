"""Changes values in an administrator's YAML and leaves every other byte as it is.

The rules, of which each has cost somebody a configuration: compare values, not text; keep quotes, comments,
line ends and mode; check the result with the program's own loader before it replaces the file.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
from collections import abc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hailo_common.config.common_keys import BaseSettings
from hailo_common.config.load import Fault, load_files, parse_yaml, unknown_key
from hailo_common.config.paths import Paths
from hailo_common.config.schema import ConfigKey, Raw, Value, plain_text, quoted, shown
from hailo_common.config.strict_yaml import Document, Mapping, Node, Scalar, Sequence, parse, read_text
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

    def apply(self, wanted: abc.Mapping[str, Raw | None]) -> list[Change]:
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
        document = parse(self.path, text)
        pair = next((pair for pair in document.pairs if pair[0].text == key.name), None)
        if value is None:
            return _commented_out(document, *pair) if pair else text
        if pair is None:
            return text if value == self._default(key) else _inserted(document, key.name, value)
        same = self._values_of(text, [key.name]).get(key.name) == value
        return text if same else _replaced(text, *pair, value)

    def _default(self, key: ConfigKey) -> Value:
        default: Value = getattr(load_files(self._settings, self._weaker), key.name)
        return default

    def _values_of(self, text: str, names: abc.Mapping[str, object] | list[str]) -> dict[str, Value]:
        """The values of the keys in a text; a value that its key refuses is left out."""
        found = {}
        for entry in parse_yaml(self.path, text):
            if entry.name in names and not isinstance(entry.value, Fault):
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
            if secret and self.path.exists():
                # Before the key is in it: whoever could read the file could read the key.
                self.path.chmod(self.path.stat().st_mode & 0o640)
            write_atomic(self.path, data, 0o640 if secret else 0o644)
        except OSError as error:
            raise unusable(self.path, "written", error) from None

    def _changes(self, old: abc.Mapping[str, Value], new: abc.Mapping[str, Value | None]) -> list[Change]:
        effective = load_files(self._settings, [*self._weaker, self.path, *self._stronger])
        changes = []
        for name, value in new.items():
            key, was = self._keys[name], old.get(name)
            if value == was:
                continue
            source = effective.source(name)
            stronger = "" if source == "default" or _same_file(source, [*self._weaker, self.path]) else source
            before, after = (key.shown(each) if each is not None else "" for each in (was, value))
            changes.append(Change(name, before, after, stronger))
        return changes


def _replaced(text: str, name: Scalar, old: Node, value: Value) -> str:
    """`text` with another value in the quotes that stand there; ConfigError if that is hard."""
    style, start = _style(old), old.start
    if style == "odd":
        raise ConfigError(f"line {name.line}: {name.text}: not a plain value; change it with an editor")
    if style == "block":
        # A list in brackets must not begin at the column of its key, so it replaces from the colon on.
        start = text.index(":", name.end) + 1
        if "#" in text[start : old.end]:
            raise ConfigError(
                f"line {name.line}: {name.text}: a list with comments; change it with an editor"
            )
    new = _written(value, style)
    if text[:start].endswith(":"):
        new = f" {new}"
    return text[:start] + new + text[old.end :]


def _style(node: Node) -> str:
    """A scalar's quotes, `flow` or `block` of a list of scalars, `odd` for what no key may have."""
    if not node.shared and isinstance(node, Scalar) and node.style not in ("|", ">"):
        return node.style
    if node.shared or not isinstance(node, Sequence):
        return "odd"
    simple = all(isinstance(item, Scalar) for item in node.items)
    return ("flow" if node.flow else "block") if simple else "odd"


def _written(value: Value, style: str) -> str:
    if isinstance(value, tuple) or style not in ("'", '"'):
        return shown(value)
    plain = plain_text(value)
    return json.dumps(plain, ensure_ascii=False) if style == '"' else "'" + plain.replace("'", "''") + "'"


def _inserted(document: Document, name: str, value: Value) -> str:
    """The text with a new line for the key: after its last commented-out line, else at the end."""
    root, text = document.root, document.text
    if isinstance(root, Scalar) and root.text:
        raise ConfigError("not a mapping; every line must be `key: value`")
    if isinstance(root, Mapping) and root.flow:
        raise ConfigError(f"{name}: the file is written in braces; add the key with an editor")
    end = "\r\n" if "\r\n" in text else "\n"
    indent = " " * root.column if isinstance(root, Mapping) else ""
    at = _after_comment(document, name)
    before = text[:at]
    line = f"{indent}{name}: {shown(value)}{end}"
    return before + ("" if not before or before.endswith("\n") else end) + line + text[at:]


def _after_comment(document: Document, name: str) -> int:
    found = document.end
    for match in re.finditer(rf"(?m)^#[ \t]?{re.escape(name)}[ \t]*:.*(\n|\Z)", document.text):
        inside = any(key.start < match.start() < value.end for key, value in document.pairs)
        if not inside and match.end() <= document.end:
            found = match.end()
    return found


def _commented_out(document: Document, name: Scalar, value: Node) -> str:
    """The text with a `#` before each line of the key."""
    text = document.text
    if isinstance(document.root, Mapping) and document.root.flow:
        raise ConfigError(f"{name.text}: the file is written in braces; take the key out with an editor")
    start = text.rfind("\n", 0, name.start) + 1
    until = text.find("\n", max(value.end - 1, name.start))
    end = len(text) if until < 0 else until
    return text[:start] + re.sub(r"(?m)^", "#", text[start:end]) + text[end:]


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
