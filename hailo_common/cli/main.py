"""`hailo-ctl`: one command for configuration, models and diagnosis.

Exit statuses: 0; 1 when a check found something; 2 for a wrong command line; 75 (try again later), 77 (not
permitted) and 78 (will not mend itself) as in sysexits.h.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from hailo_common import __version__
from hailo_common.cli import config, drain, models
from hailo_common.cli.complete import complete
from hailo_common.cli.doctor import command as doctor
from hailo_common.cli.framework import PROGRAM, CommandError, Commands, say, warn
from hailo_common.errors import ConfigDeniedError, ConfigError

COMPLETE = "--complete"
"""Prints what may come next; for completions/hailo-ctl."""
_ABOUT = """\
Configure, check and feed hailo-vision and hailo-florence.

Start here:
  hailo-ctl doctor                 is everything well? if not, what to do
  hailo-ctl models fetch           fetch the models that the services are set to use
  hailo-ctl config set hailo-vision host=0.0.0.0
                                   change a value; then: systemctl restart hailo-vision
"""


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Each command explains itself: hailo-ctl COMMAND --help",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = Commands(parser, PROGRAM)
    doctor.add_commands(commands)
    config.add_commands(commands)
    models.add_commands(commands)
    drain.add_commands(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == [COMPLETE]:
        for word in complete(build_parser(), words[1:]):
            say(word)
        return os.EX_OK
    args = build_parser().parse_args(words)
    try:
        return int(args.run(args))
    except (ConfigError, CommandError, OSError, KeyboardInterrupt) as error:
        return _failed(error)


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
