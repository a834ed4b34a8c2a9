"""`hailo-ctl`: one command for configuration, models and diagnosis.

Exit statuses: 0; 1 when a check found something; 2 for a wrong command line; 75 (try again later), 77 (not
permitted) and 78 (a later try will not help) as in sysexits.h.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Mapping, Sequence

from hailo_common import __version__
from hailo_common.cli.framework import PROGRAM, CommandError, Commands, find, warn
from hailo_common.errors import ConfigDeniedError, ConfigError

_ABOUT = """\
Configure, check and feed hailo-vision and hailo-florence.

Start here:
  hailo-ctl doctor                 is everything well? if not, what to do
  hailo-ctl models fetch           fetch the models that the services are set to use
  hailo-ctl ask photo.jpg "Is there a person at the door?"
  hailo-ctl config set hailo-vision host=0.0.0.0
                                   change a value; then: systemctl restart hailo-vision
"""
_COMMANDS = (
    ("doctor", "look at everything and say what to do about it", "doctor.command:define_doctor"),
    ("status", "show in a few lines what runs here", "doctor.command:define_status"),
    ("ask", "ask a question about pictures", "ask:define_ask"),
    ("caption", "describe pictures, of whole folders too", "caption:define_caption"),
    ("config", "show, change, check and render the configuration", "config:define_config"),
    ("models", "list, fetch, verify, remove, add, pin, mirror and package models", "models:define_models"),
    ("drain", "take this node out of service", "drain:define_drain"),
    ("undrain", "take this node back into service", "drain:define_undrain"),
)
"""Name, help, and where the rest is defined: a module is imported only for a command that is wanted."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    if argv is None and "_ARGCOMPLETE" in os.environ:
        return _complete(os.environ.get("COMP_LINE", "").split()[1:])
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a character gets another one, and the command goes on.
            stream.reconfigure(errors="replace")
    words = list(sys.argv[1:] if argv is None else argv)
    args = _parsed(build_parser(_command(words)), words)
    try:
        return int(args.run(args))
    except (ConfigError, CommandError, OSError, KeyboardInterrupt) as error:
        return _failed(error)


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """The whole command line, or only `command` in full and the others by name."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Each command explains itself: hailo-ctl COMMAND --help",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = Commands(parser)
    for name, help, source in _COMMANDS:
        child = commands.add(name, help)
        if command in (name, None):
            find(source)(child)
    return parser


def _parsed(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Namespace:
    """Options before and after positional arguments: Python 3.11's subparsers take them in one place only."""
    leaf, left = parser, list(words)
    while left and (below := _below(leaf)) and left[0] in below:
        leaf = below[left.pop(0)]
    return parser.parse_args(words) if _below(leaf) else leaf.parse_intermixed_args(left)


def _below(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    """The parsers of a parser's commands."""
    found = [action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return found[0] if found else {}


def _command(words: Sequence[str]) -> str:
    """The command among these words; the options before it take no values."""
    return next((word for word in words if not word.startswith("-")), "")


def _complete(words: Sequence[str]) -> int:
    """Answer completions/hailo-ctl; without argcomplete there is nothing to offer."""
    try:
        import argcomplete  # noqa: PLC0415
        from argcomplete.completers import ChoicesCompleter  # noqa: PLC0415
    except ImportError:
        return os.EX_UNAVAILABLE
    # Where only a person can know the word, bash itself offers files.
    argcomplete.autocomplete(
        build_parser(_command(words)),
        always_complete_options=False,
        default_completer=ChoicesCompleter({}),
    )
    return os.EX_OK


def _failed(error: BaseException) -> int:
    if isinstance(error, BrokenPipeError):
        # The reader of a pipe went away (`| head`); Python must not complain at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return os.EX_OK
    if isinstance(error, KeyboardInterrupt):
        return 130
    if isinstance(error, ConfigDeniedError):
        warn(f"{error}\ntry: sudo hailo-ctl ...")
        return os.EX_NOPERM
    if isinstance(error, OSError):
        warn(f"{error.filename or 'standard output'}: {error.strerror}")
        return os.EX_NOPERM if isinstance(error, PermissionError) else os.EX_IOERR
    warn(str(error))
    return error.status if isinstance(error, CommandError) else os.EX_CONFIG


if __name__ == "__main__":
    raise SystemExit(main())
