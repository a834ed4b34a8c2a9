"""The table of keys. A service's settings are a frozen dataclass whose fields document themselves.

Loader, command line, commented YAML, Markdown table and debconf read this one table and cannot drift.
"""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from hailo_common.config.rules import Raw, Rule, Value

T = TypeVar("T")
_PLAIN = re.compile(r"[A-Za-z0-9/][A-Za-z0-9_./-]*")
_AMBIGUOUS = re.compile(r"(?i)true|false|yes|no|on|off|null|y|n|[0-9_]+(\.[0-9_]*)?")


@dataclass(frozen=True)
class Key:
    """One setting: its name, default, range, one line of help and unit."""

    name: str
    default: Value
    rule: Rule
    help: str
    unit: str = ""
    secret: bool = False
    """Its value is never shown, neither in messages nor in dumps."""

    @property
    def type(self) -> type:
        """int, float, bool, str or tuple (of str)."""
        return type(self.default)

    def convert(self, raw: Raw) -> Value:
        """The value that `raw` stands for; ValueError says what it must be."""
        try:
            return self.rule.convert(raw)
        except ValueError:
            told = "the value" if self.secret else quoted(raw)
            raise ValueError(f"{told} is not {self.rule.allowed}") from None

    def shown(self, value: Value) -> str:
        """`value` as it may be printed."""
        if self.secret and value != self.default:
            return "[" + ", ".join("***" for _ in value) + "]" if isinstance(value, tuple) else "***"
        return shown(value)


def key(default: T, rule: Rule, help: str, unit: str = "", *, secret: bool = False) -> T:
    """A field of a settings dataclass that is a key of the configuration."""
    metadata = {"rule": rule, "help": help, "unit": unit, "secret": secret}
    field: T = dataclasses.field(default=default, repr=not secret, metadata=metadata)
    return field


def keys_of(settings: type) -> tuple[Key, ...]:
    """The table of a settings dataclass, in the order of its fields."""
    return tuple(
        Key(field.name, cast(Value, field.default), **field.metadata)
        for field in dataclasses.fields(settings)
        if "rule" in field.metadata
    )


def shown(value: Value) -> str:
    """`value` as it is written in YAML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(shown, value)) + "]"
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and not _AMBIGUOUS.fullmatch(value)
        return value if plain else json.dumps(value, ensure_ascii=False)
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def plain_json(value: Value) -> Any:
    """`value` as the JSON module takes it; a whole float loses its `.0`."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return list(value) if isinstance(value, tuple) else value


def quoted(raw: Raw) -> str:
    """`raw` for a message: short, one line, nothing that a terminal would act on."""
    if isinstance(raw, tuple):
        return f"[{', '.join(map(quoted, raw[:4]))}{', …' if len(raw) > 4 else ''}]"
    short = raw if len(raw) <= 60 else raw[:60] + "…"
    return short if short.isascii() and short.replace(".", "", 1).isdigit() else repr(short)
