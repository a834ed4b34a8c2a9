"""What a value may be, and the table of keys: a frozen dataclass whose fields document themselves.

Every value arrives as a string (or a list of strings) from YAML, JSON or the command line, so all three
accept and refuse the same things. Loader, command line, commented YAML, Markdown table and debconf read the
one table of keys and cannot drift.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

Value = int | float | bool | str | tuple[str, ...]
Raw = str | tuple[str, ...]
T = TypeVar("T")

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9_]{0,18})")
_NUMBER = re.compile(r"[-+]?[0-9]{1,18}(\.[0-9]{0,18})?")
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_API_KEY = re.compile(r"[!-~]{8,256}")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]{0,31}://([a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(:[0-9]{1,5})?")
_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}")
_GROUP_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_STORE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
_URL_HOST = r"([A-Za-z0-9._~-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?"
_URL = re.compile(rf"https?://{_URL_HOST}(/[!-~]*)?")
_PROXY = re.compile(rf"http://([!-?A-~]{{1,256}}@)?{_URL_HOST}/?")
_INTERFACE = re.compile(r"[A-Za-z0-9_.-]{1,15}")
"""It lands in a unit of systemd: no `%`, no space, no line."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_ITEMS = 64
_TRUE = ("true", "yes", "on")
_FALSE = ("false", "no", "off")


@dataclass(frozen=True)
class Rule(Generic[T]):
    """`convert` turns raw text into a value or raises ValueError; `allowed` completes "must be ..."."""

    allowed: str
    convert: Callable[[Raw], T]


def integer(low: int, high: int) -> Rule[int]:
    """A decimal integer, `1_000_000` included; no octal, no sexagesimal."""

    def convert(raw: Raw) -> int:
        text = _scalar(raw)
        _require(_INTEGER.fullmatch(text) is not None)
        value = int(text.rstrip("_").replace("_", ""))
        _require(low <= value <= high)
        return value

    return Rule(f"an integer from {low} to {high}", convert)


def number(low: float, high: float) -> Rule[float]:
    """A decimal number; neither infinity nor NaN."""

    def convert(raw: Raw) -> float:
        text = _scalar(raw)
        _require(_NUMBER.fullmatch(text) is not None)
        value = float(text)
        _require(low <= value <= high)
        return value

    return Rule(f"a number from {low:g} to {high:g}", convert)


def boolean() -> Rule[bool]:
    """True or false, in YAML's spellings."""

    def convert(raw: Raw) -> bool:
        text = _scalar(raw).lower()
        _require(text in _TRUE + _FALSE)
        return text in _TRUE

    return Rule("true or false", convert)


def choice(*names: str) -> Rule[str]:
    """One of a few lower-case words, in any case."""

    def convert(raw: Raw) -> str:
        text = _scalar(raw).lower()
        _require(text in names)
        return text

    return Rule("one of " + ", ".join(filter(None, names)), convert)


def string(allowed: str, check: Callable[[str], bool]) -> Rule[str]:
    """One line of printable text, for which `check` holds."""

    def convert(raw: Raw) -> str:
        return _checked(_scalar(raw), check)

    return Rule(allowed, convert)


def strings(allowed: str, check: Callable[[str], bool]) -> Rule[tuple[str, ...]]:
    """A list of at most 64 such strings, for each of which `check` holds."""

    def convert(raw: Raw) -> tuple[str, ...]:
        _require(isinstance(raw, tuple) and len(raw) <= _MAX_ITEMS)
        return tuple(_checked(item, check) for item in raw)

    return Rule(f"a list of at most {_MAX_ITEMS} {allowed}", convert)


def is_host(value: str) -> bool:
    """True for an IPv4 or IPv6 address (no brackets) and for a host name."""
    address, percent, scope = value.partition("%")
    if percent and not _INTERFACE.fullmatch(scope):
        return False
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return not percent and _is_name(value)
    return not percent or ":" in address


def is_api_key(value: str) -> bool:
    """True for what can stand in a header: 8 to 256 visible ASCII characters."""
    return _API_KEY.fullmatch(value) is not None


def is_origin(value: str) -> bool:
    """True for the origin of a page as browsers send it, and for `*`."""
    return value == "*" or _ORIGIN.fullmatch(value) is not None


def is_name(value: str) -> bool:
    """True for a model's name as clients send it: up to 128 characters without spaces."""
    return _MODEL_NAME.fullmatch(value) is not None


def is_model_name(value: str) -> bool:
    """True for a model's name in the manifest, which is also that of its folder."""
    return _STORE_NAME.fullmatch(value) is not None


def is_group_id(value: str) -> bool:
    """True for the name under which programs share the chip."""
    return _GROUP_ID.fullmatch(value) is not None


def is_path_or_empty(value: str) -> bool:
    """True for an absolute path of a file, existing or not, and for no path at all."""
    return not value or (value.startswith("/") and not value.endswith("/"))


def is_folder_or_empty(value: str) -> bool:
    """True for an absolute path, existing or not, and for no path at all."""
    return not value or value.startswith("/")


def is_url(value: str) -> bool:
    """True for an http or https URL without a user name."""
    return len(value) <= 2048 and _URL.fullmatch(value) is not None


def is_source(value: str) -> bool:
    """True for a folder's absolute path and for a URL."""
    return value.startswith("/") or is_url(value)


def is_proxy(value: str) -> bool:
    """True for `auto`, `none` and the URL of a proxy."""
    return value in ("auto", "none") or _PROXY.fullmatch(value) is not None


def is_sha256(value: str) -> bool:
    """True for a checksum as 64 hexadecimal digits in lower case."""
    return _SHA256.fullmatch(value) is not None


def _is_name(value: str) -> bool:
    labels = value.removesuffix(".").split(".")
    # An all-digit last label is a mistyped address (`127.0.0.256`), never a name.
    return len(value) <= 253 and all(map(_LABEL.fullmatch, labels)) and not labels[-1].isdigit()


def _scalar(raw: Raw) -> str:
    if not isinstance(raw, str):
        raise ValueError
    return raw


def _checked(value: str, check: Callable[[str], bool]) -> str:
    _require(len(value) <= 4096 and value.isprintable() and check(value))
    return value


def _require(condition: bool) -> None:
    if not condition:
        raise ValueError


_PLAIN = re.compile(r"[A-Za-z0-9/][A-Za-z0-9_./-]*")
_AMBIGUOUS = re.compile(r"(?i)true|false|yes|no|on|off|null|y|n|[0-9_]+(\.[0-9_]*)?")


@dataclass(frozen=True)
class ConfigKey:
    """One setting: its name, default, range, one line of help and unit."""

    name: str
    default: Value
    rule: Rule[Any]
    help: str
    unit: str = ""
    secret: bool = False
    """Its value is never shown, neither in messages nor in dumps."""
    engine: bool = False
    """The engine process is told its value."""

    @property
    def type(self) -> type:
        """int, float, bool, str or tuple (of str)."""
        return type(self.default)

    def convert(self, raw: Raw) -> Value:
        """The value that `raw` stands for; ValueError says what it must be."""
        try:
            return cast(Value, self.rule.convert(raw))
        except ValueError:
            value = "the value" if self.secret else quoted(raw)
            raise ValueError(f"{value} is not {self.rule.allowed}") from None

    def shown(self, value: Value) -> str:
        """`value` as it may be printed."""
        if self.secret and value != self.default:
            return "[" + ", ".join("***" for _ in value) + "]" if isinstance(value, tuple) else "***"
        return shown(value)


def config_key(
    default: T, rule: Rule[T], help: str, unit: str = "", *, secret: bool = False, engine: bool = False
) -> T:
    """A field of a settings dataclass that is a key of the configuration; see `ConfigKey`."""
    metadata = {"rule": rule, "help": help, "unit": unit, "secret": secret, "engine": engine}
    field: T = dataclasses.field(default=default, repr=not secret, metadata=metadata)
    return field


def keys_of(settings: type) -> tuple[ConfigKey, ...]:
    """The table of a settings dataclass, in the order of its fields."""
    return tuple(
        ConfigKey(field.name, cast(Value, field.default), **field.metadata)
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


def plain_text(value: object) -> str:
    """`value` as it is written in YAML, without quotes."""
    return value if isinstance(value, str) else shown(cast(Value, value))


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
