"""Records, a pretend journald, and subprocesses that import this tree."""

from __future__ import annotations

import logging
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

TREE = Path(__file__).parents[3]


def record(
    message: str,
    *args: object,
    level: int = logging.INFO,
    extra: Mapping[str, object] | None = None,
    **more: object,
) -> logging.LogRecord:
    """A log record as a service makes it."""
    made = logging.LogRecord("hailo.test", level, "/src/x.py", 7, message, args, None, "function")
    if extra or more:
        made.fields = {**(extra or {}), **more}
    return made


def failed(message: str, error: Exception) -> logging.LogRecord:
    """A record with the traceback of `error`."""
    try:
        raise error
    except Exception:
        return logging.LogRecord("t", logging.ERROR, "/src/x.py", 7, message, None, sys.exc_info(), "f")


class FakeJournal:
    """A datagram socket that reads entries as journald does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(os.fspath(path))
        self.socket.setblocking(False)

    def entries(self) -> list[dict[str, str]]:
        """All entries sent so far."""
        found: list[dict[str, str]] = []
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self.socket, 1 << 20, 1)
            except BlockingIOError:
                return found
            for fd in fds:
                with os.fdopen(fd, "rb") as file:
                    file.seek(0)
                    data = file.read()
            found.append(parse_entry(data))

    def close(self) -> None:
        """Close and remove the socket."""
        self.socket.close()
        self.path.unlink(missing_ok=True)


def parse_entry(data: bytes) -> dict[str, str]:
    """The fields of an entry in journald's native protocol."""
    fields = {}
    while data:
        name, _, rest = data.partition(b"\n")
        if b"=" in name:
            name, _, value = name.partition(b"=")
            data = rest
        else:
            (length,) = struct.unpack("<Q", rest[:8])
            value, end, data = rest[8 : 8 + length], rest[8 + length : 9 + length], rest[9 + length :]
            assert end == b"\n"
        assert name.decode() not in fields
        fields[name.decode()] = value.decode()
    return fields


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[FakeJournal]:
    """A journald in a temporary folder."""
    fake = FakeJournal(tmp_path / "socket")
    yield fake
    fake.close()


def run_python(
    code: str, *args: str, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter that finds this tree."""
    command = [sys.executable, "-W", "error", "-c", code, *args]
    merged = {**os.environ, "PYTHONPATH": str(TREE), **(environ or {})}
    return subprocess.run(command, env=merged, capture_output=True, text=True, check=False, timeout=60)
