"""What ends a program, on standard error: for a person at a terminal, or as an error in the journal."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

_ERROR = "<3>"
"""How a line tells systemd its priority: sd-daemon(3)."""


def is_journal_stream(fd: int, environ: Mapping[str, str]) -> bool:
    """True when systemd connected `fd` to the journal, and nobody has redirected it since."""
    try:
        status = os.fstat(fd)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def complain(program: str, problem: object) -> None:
    """Print each line of a problem after the program's name; `journalctl -p err` shows it under systemd."""
    priority = _ERROR if is_journal_stream(2, os.environ) else ""
    for line in str(problem).splitlines():
        print(f"{priority}{program}: {line}", file=sys.stderr)
