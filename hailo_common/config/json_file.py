"""The rendered JSON as the same entries that YAML gives."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from hailo_common.config.entries import Entry, Fault, entry, read_text
from hailo_common.config.rules import Raw
from hailo_common.errors import ConfigError


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
    return [entry(name, _value(value), _line(text, name)) for name, value in document]


def _value(value: Any) -> Raw | Fault:
    if isinstance(value, str):
        return value
    if value is None:
        return Fault("no value is given")
    if isinstance(value, _Pairs):
        return Fault("a mapping")
    if isinstance(value, list):
        strings = all(isinstance(item, str) for item in value)
        return tuple(value) if strings else Fault("a list of something else than texts")
    return json.dumps(value)


def _line(text: str, name: str) -> int:
    quoted = re.escape(json.dumps(name, ensure_ascii=False))
    found = re.search(rf"^[\s{{,]*{quoted}\s*:", text, re.MULTILINE)
    return text.count("\n", 0, found.end()) + 1 if found else 1
