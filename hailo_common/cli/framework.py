"""The tree of commands, built so that help, completion and manual pages read the same tree.

What a command prints: tables and JSON for standard output, problems for standard error.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import _SubParsersAction


import json
import sys
from collections.abc import Sequence
from typing import Any

Run = Callable[[argparse.Namespace], int]


class Commands:
    """One level of the tree: adds commands, and groups of commands."""

    def __init__(self, parser: argparse.ArgumentParser, prefix: str) -> None:
        self._prefix = prefix
        self._parsers: _SubParsersAction[argparse.ArgumentParser] = parser.add_subparsers(
            title="commands", metavar="COMMAND", required=True
        )

    def command(self, name: str, help: str, run: Run, text: str = "") -> argparse.ArgumentParser:
        """A command that does something; `text` is what its own help says first."""
        parser = self._add(name, help, text or f"{help[0].upper()}{help[1:]}.")
        parser.set_defaults(run=run)
        return parser

    def group(self, name: str, help: str) -> Commands:
        """A command that only has subcommands."""
        return Commands(self._add(name, help, f"{help[0].upper()}{help[1:]}."), f"{self._prefix} {name}")

    def _add(self, name: str, help: str, text: str) -> argparse.ArgumentParser:
        return self._parsers.add_parser(
            name,
            help=help,
            description=text,
            prog=f"{self._prefix} {name}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )


def add_root(parser: argparse.ArgumentParser) -> None:
    """`--root`, for images that are being built and for tests."""
    parser.add_argument(
        "--root", type=Path, default=Path("/"), metavar="DIR", help="file system to work in (images, tests)"
    )


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
