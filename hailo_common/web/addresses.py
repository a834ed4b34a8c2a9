"""Addresses that mean another one, and what is said about those that mean none."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

_SLASHES = re.compile(r"/{2,}")
_UNSAFE = re.compile(r"[^A-Za-z0-9/_.~:{}-]")
_MOST_SHOWN = 100
_LEAST_LIKENESS = 0.6


def plain_path(path: str, aliases: Mapping[str, str]) -> str:
    """The path without doubled and trailing slashes, and by its main name.

    `aliases` maps whole paths, and beginnings where they end with a slash.
    """
    if "//" in path:
        path = _SLASHES.sub("/", path)
    if path.endswith("/") and path != "/":
        path = path[:-1]
    if path in aliases:
        return aliases[path]
    for start, meant in aliases.items():
        if start.endswith("/") and path.startswith(start):
            return meant + path[len(start) :]
    return path


def shown_path(path: str) -> str:
    """A path as it may be repeated, in an answer and in the log: 100 harmless characters of it."""
    return _UNSAFE.sub("?", path[:_MOST_SHOWN]) + ("..." if len(path) > _MOST_SHOWN else "")


def nearest(path: str, known: Iterable[str]) -> str | None:
    """The known address that a path is the beginning of, else the one it looks most like, if any."""
    known = list(known)
    longer = sorted((each for each in known if each.startswith(f"{path}/") and "{" not in each), key=len)
    if longer:
        return longer[0]
    found = difflib.get_close_matches(path[:_MOST_SHOWN], known, 1, _LEAST_LIKENESS)
    return found[0] if found else None
