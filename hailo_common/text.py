"""Texts of strangers for people: nothing in them moves a cursor, hides what stands before, or ends a line."""

from __future__ import annotations

import json


def printable(line: str) -> str:
    """One line with control, direction and other invisible characters as escapes; tabs stay."""
    if line.isprintable():
        return line
    return "".join(char if char.isprintable() or char == "\t" else _escape(char) for char in line)


def _escape(char: str) -> str:
    return json.dumps(char)[1:-1]  # an escape in JSON, too
