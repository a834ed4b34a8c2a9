"""What a command prints: tables and JSON for standard output, problems for standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

PROGRAM = "hailo-ctl"


class CommandError(Exception):
    """A command that cannot do its work: the message for people, and the exit status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def say(text: str = "") -> None:
    """One line for standard output."""
    print(text, flush=True)


def warn(text: str) -> None:
    """Each line of `text` on standard error, with the program's name."""
    for line in text.splitlines():
        print(f"{PROGRAM}: {line}", file=sys.stderr, flush=True)


def print_json(value: Any) -> None:
    """A value as JSON for programs; the same two spaces everywhere."""
    say(json.dumps(value, indent=2, ensure_ascii=False))


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as aligned lines; the last column is not padded."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return [line.rstrip() for line in lines]
