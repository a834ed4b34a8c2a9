"""What every command is made of: its place in the tree of parsers, its errors, and how it prints."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from hailo_common.errors import ConfigError
from hailo_common.text import printable

PROGRAM = "hailo-ctl"

Run = Callable[[argparse.Namespace], int]
Completer = Callable[[str, argparse.Namespace], Iterable[str]]
"""From what was typed of a word, and what the words before it say, to what the word may become."""


class CommandError(Exception):
    """A command that cannot do its work: the message for people, and the exit status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Commands:
    """The commands below one parser; help, completion and manual pages all read this tree."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._prefix = parser.prog
        self._parsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(self, name: str, help: str) -> argparse.ArgumentParser:
        """A command that is only named so far; its own help begins with `help`."""
        return self._parsers.add_parser(
            name,
            help=help,
            description=f"{help[0].upper()}{help[1:]}.",
            prog=f"{self._prefix} {name}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def command(self, name: str, help: str, run: Run, text: str = "") -> argparse.ArgumentParser:
        """A command that does something; `text` is what its own help says first."""
        parser = self.add(name, help)
        define(parser, run, text)
        return parser


def define(parser: argparse.ArgumentParser, run: Run, text: str = "") -> None:
    """Say what a command does: `run` returns the exit status, `text` is what its own help says first."""
    parser.set_defaults(run=run)
    if text:
        parser.description = text


def late(source: str) -> Run:
    """The function `MODULE:NAME` of this package, whose module is imported when the command runs."""

    def run(args: argparse.Namespace) -> int:
        return int(find(source)(args))

    return run


def find(source: str) -> Callable[..., Any]:
    """The function `MODULE:NAME` of this package."""
    module, _, name = source.partition(":")
    function: Callable[..., Any] = getattr(import_module(f"hailo_common.cli.{module}"), name)
    return function


def add_root(parser: argparse.ArgumentParser) -> None:
    """`--root`, for images that are being built and for tests."""
    parser.add_argument(
        "--root", type=Path, default=Path("/"), metavar="DIR", help="file system to work in (images, tests)"
    )


def complete_with(completer: Completer, *arguments: argparse.Action) -> None:
    """Let argcomplete ask `completer` for these arguments; a broken configuration offers nothing."""

    def offered(prefix: str, parsed_args: argparse.Namespace, **_: object) -> list[str]:
        try:
            return list(completer(prefix, parsed_args))
        except ConfigError:
            return []

    for argument in arguments:
        argument.completer = offered  # type: ignore[attr-defined]


def say(text: str = "") -> None:
    """One line for standard output."""
    print("\n".join(map(printable, text.split("\n"))), flush=True)


def warn(text: str) -> None:
    """Each line of `text` on standard error, with the program's name."""
    for line in text.splitlines():
        print(f"{PROGRAM}: {printable(line)}", file=sys.stderr, flush=True)


def print_json(value: Any) -> None:
    """A value as JSON for programs; the same two spaces everywhere."""
    say(json.dumps(value, indent=2, ensure_ascii=False))


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as aligned lines; the last column is not padded."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return [line.rstrip() for line in lines]
