"""The tree of commands, built so that help, completion and manual pages read the same tree."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import _SubParsersAction

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
