"""Where a service's log goes: the journal under systemd, text on a terminal, JSON lines elsewhere."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from hailo_common.systemd.handlers import Journal, JsonLines, Lines, PlainLines
from hailo_common.systemd.journal import SOCKET, JournalSocket, LineWriter, is_journal_stream

_log = logging.getLogger(__name__)
_FOREIGN = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi", "fastapi", "py.warnings")


def setup_logging(
    service: str,
    level: str = "info",
    *,
    environ: Mapping[str, str] = os.environ,
    fd: int = 2,
    journal: Path = SOCKET,
) -> None:
    """Send every logger of this process to one handler; give uvicorn `log_config=None`.

    Structured fields go with `extra={"fields": {...}}`; the request id comes from `daemon.context`.
    """
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        if isinstance(old, Lines):
            old.close()
    root.addHandler(choose_handler(service, environ, fd, journal))
    root.setLevel(level.upper())
    for name in _FOREIGN:
        foreign = logging.getLogger(name)
        foreign.handlers.clear()
        foreign.propagate = True
    # uvicorn tells at INFO what the service says in its own words.
    logging.getLogger("uvicorn.error").setLevel(max(logging.WARNING, root.level))
    # Python's own way to report a failing handler is to print to standard error, which may block.
    logging.raiseExceptions = False
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def choose_handler(service: str, environ: Mapping[str, str], fd: int, journal: Path) -> Lines:
    """The handler that suits what `fd` is connected to."""
    writer = LineWriter(fd)
    if is_journal_stream(fd, environ) and journal.exists():
        return Journal(service, JournalSocket(journal), writer)
    return PlainLines(writer) if os.isatty(fd) else JsonLines(service, writer)


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    _log.critical("uncaught exception", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
        _log.critical("uncaught exception", exc_info=(args.exc_type, args.exc_value, args.exc_traceback))
