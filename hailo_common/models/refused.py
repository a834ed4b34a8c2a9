"""Content that was refused, remembered by what its server says of it, so that no later run brings it again.

One small file of the store. It forgets the oldest beyond a bound, and all of a file when somebody asks for it
by hand. Needs the store's lock.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

from hailo_common.files import write_atomic
from hailo_common.models.http import FileInfo

NAME = ".refused.json"
_MOST = 256


class Refused:
    """What one store refused, read once."""

    def __init__(self, store: Path) -> None:
        self._path = store / NAME
        self._known = _read(self._path)

    def reason(self, place: str, expected: str | None, info: FileInfo) -> str:
        """Why this very content was refused from this place; empty if it was not, or nobody can tell."""
        mark = _mark(info)
        entry = self._known.get(_key(place, expected))
        return str(entry[1]) if mark and isinstance(entry, list) and entry[:1] == [mark] else ""

    def add(self, place: str, expected: str | None, info: FileInfo, reason: str) -> None:
        """Remember it; does nothing where the server names no version of its file."""
        if not _mark(info):
            return
        key = _key(place, expected)
        self._known.pop(key, None)
        self._known[key] = [_mark(info), reason[:500]]
        while len(self._known) > _MOST:
            del self._known[next(iter(self._known))]
        self._write()

    def forget(self, place: str, expected: str | None) -> None:
        """Somebody wants to see for himself."""
        if self._known.pop(_key(place, expected), None) is not None:
            self._write()

    def _write(self) -> None:
        write_atomic(self._path, (json.dumps(self._known, indent=1) + "\n").encode())


def _key(place: str, expected: str | None) -> str:
    return hashlib.sha256(f"{place}\n{expected or ''}".encode()).hexdigest()[:32]


def _mark(info: FileInfo) -> str:
    """The server's name of this version: entity tag or time, with the size; empty where either is missing."""
    return f"{info.validator} {info.size}" if info.validator and info.size is not None else ""


def _read(path: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        known = json.loads(path.read_bytes())
        if isinstance(known, dict) and len(known) <= _MOST:
            return known
    return {}
