"""Texts of strangers for people: nothing in them moves a cursor, hides what stands before, or ends a line.
And texts that come in pieces.
"""

from __future__ import annotations

import json


def printable(line: str) -> str:
    """One line with control, direction and other invisible characters as escapes; tabs stay."""
    if line.isprintable():
        return line
    return "".join(char if char.isprintable() or char == "\t" else _escape(char) for char in line)


def overlap(text: str, mark: str) -> int:
    """How many characters at the end of `text` are the beginning of `mark`; of the whole `mark`, none."""
    longest = min(len(mark) - 1, len(text))
    return next((n for n in range(longest, 0, -1) if mark.startswith(text[-n:])), 0)


def _escape(char: str) -> str:
    return json.dumps(char)[1:-1]  # an escape in JSON, too
