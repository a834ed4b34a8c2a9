"""Where a service's log goes: the journal under systemd, text on a terminal, JSON lines elsewhere.

No handler waits or raises. None limits how much is logged: the unit's LogRateLimitIntervalSec= does.
"""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from hailo_common.complaint import is_journal_stream
from hailo_common.systemd.journal import (
    SOCKET,
    JournalMissing,
    JournalSocket,
    LineWriter,
    encode,
)
from hailo_common.systemd.record import (
    escaped,
    field_name,
    fields_of,
    line_of,
    message_of,
    person_line,
    request_of,
    traceback_of,
)

_log = logging.getLogger(__name__)
_FOREIGN = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi", "fastapi", "py.warnings")
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_JOURNAL_OWN = {"MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "LOGGER", "REQUEST_ID"}
_JSON_OWN = {"timestamp", "level", "message", "service", "logger", "pid", "request_id", "exception"}


def setup_logging(
    service: str,
    level: str = "info",
    *,
    environ: Mapping[str, str] = os.environ,
    fd: int = 2,
    journal: Path = SOCKET,
) -> None:
    """Send every logger of this process to one handler; give uvicorn `log_config=None`.

    Structured fields go with `extra={"fields": {...}}`; the request id comes from `record.request_id`.
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


class Lines(logging.Handler):
    """Counts what could not be delivered and says so later."""

    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self._writer = writer
        self._dropped = 0

    def deliver(self, record: logging.LogRecord) -> bool:
        """Write one record without waiting; False when it had to be dropped."""
        raise NotImplementedError

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, and before it how many were dropped since the last one."""
        try:
            if self._dropped and self.deliver(_dropped_report(self._dropped)):
                self._dropped = 0
            if self._dropped or not self.deliver(record):
                self._dropped += 1
        except Exception:
            # A log call must not fail its caller; there is nowhere better to report it.
            self._dropped += 1

    def close(self) -> None:
        """Close what the handler opened."""
        self._writer.close()
        super().close()


class JsonLines(Lines):
    """One JSON object a line."""

    def __init__(self, service: str, writer: LineWriter) -> None:
        super().__init__(writer)
        self._service = service

    def deliver(self, record: logging.LogRecord) -> bool:
        """Write the record as JSON."""
        line = json.dumps(dict(self._items(record)), ensure_ascii=False)
        return self._writer.write(line.encode(errors="replace") + b"\n")

    def _items(self, record: logging.LogRecord) -> Iterator[tuple[str, object]]:
        yield "timestamp", _timestamp(record)
        yield "level", record.levelname
        yield "message", message_of(record) or line_of(record, with_request=False)
        yield "service", self._service
        yield "logger", record.name
        yield "pid", os.getpid()
        if request := request_of(record):
            yield "request_id", escaped(request)
        for name, value in fields_of(record).items():
            if name != "request_id":
                yield _own(field_name(name).lower(), _JSON_OWN), _json_value(value)
        if trace := traceback_of(record):
            yield "exception", trace


class PlainLines(Lines):
    """For a person at a terminal."""

    def deliver(self, record: logging.LogRecord) -> bool:
        """Write time, level, line and traceback."""
        clock = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        parts = [f"{clock} {record.levelname:<7} {person_line(record)}", traceback_of(record)]
        text = "\n".join(part for part in parts if part)
        return self._writer.write(text.encode(errors="replace") + b"\n")


class Journal(Lines):
    """journald's native protocol; while no journald listens, lines go to `writer`."""

    def __init__(self, service: str, journal: JournalSocket, writer: LineWriter) -> None:
        super().__init__(writer)
        self._service = service
        self._journal = journal

    def close(self) -> None:
        """Close the socket to journald."""
        self._journal.close()
        super().close()

    def deliver(self, record: logging.LogRecord) -> bool:
        """Send the record with its fields."""
        try:
            return self._journal.send(encode(self._fields(record)))
        except JournalMissing:
            return self._writer.write(line_of(record).encode(errors="replace") + b"\n")

    def _fields(self, record: logging.LogRecord) -> Iterator[tuple[str, str]]:
        parts = (line_of(record), traceback_of(record))
        yield "MESSAGE", "\n".join(part for part in parts if part)
        yield "PRIORITY", str(_priority(record.levelno))
        yield "SYSLOG_IDENTIFIER", self._service
        yield "LOGGER", escaped(record.name)
        yield "CODE_FILE", record.pathname
        yield "CODE_LINE", str(record.lineno)
        yield "CODE_FUNC", str(record.funcName)
        if request := request_of(record):
            yield "REQUEST_ID", escaped(request)
        for name, value in fields_of(record).items():
            if name != "request_id":
                upper = field_name(name).upper().lstrip("_0123456789") or "FIELD"
                yield _own(upper, _JOURNAL_OWN), escaped(str(value))


def _own(name: str, taken: set[str]) -> str:
    return name + "_" if name in taken else name


def _priority(level: int) -> int:
    return next((priority for least, priority in _PRIORITIES if level >= least), 7)


def _timestamp(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _json_value(value: object) -> object:
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return escaped(str(value))


def _dropped_report(count: int) -> logging.LogRecord:
    record = logging.LogRecord(__name__, logging.WARNING, __file__, 0, "log lines dropped", None, None)
    record.fields = {"n": count}
    return record
