"""A client that sends exactly the bytes it is told to, and the process of the stub server."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Answer:
    """What came back on a connection: status 0 when it was closed without an answer."""

    status: int
    headers: dict[str, str]
    body: bytes
    closed: bool

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> str | None:
        """The error code of the body."""
        error = self.json.get("error") if self.body else None
        return error["code"] if error else None


def connect(port: int, timeout: float = 10) -> socket.socket:
    """A connection to the stub."""
    return socket.create_connection(("127.0.0.1", port), timeout=timeout)


def read_answer(sock: socket.socket) -> Answer:
    """Read one answer, by its Content-Length or to the end."""
    data = b""
    closed = False
    while not _is_whole(data):
        try:
            piece = sock.recv(65536)
        except ConnectionError:
            piece = b""
        if not piece:
            closed = True
            break
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Answer(int(first.split()[1]) if first else 0, headers, body, closed)


def _is_whole(data: bytes) -> bool:
    head, end, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    return bool(end and length and len(body) >= int(length[1]))


def talk(port: int, data: bytes, timeout: float = 10) -> Answer:
    """Send bytes, read one answer."""
    with connect(port, timeout) as sock:
        with contextlib.suppress(ConnectionError):
            sock.sendall(data)
        return read_answer(sock)


def is_closed(sock: socket.socket, within: float) -> bool:
    """Whether the server closes the connection in time; what it sends before is skipped."""
    sock.settimeout(within)
    try:
        while sock.recv(65536):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


def post(path: str, body: bytes, kind: str = "application/json", extra: str = "") -> bytes:
    """The bytes of a POST request."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n{extra}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class StubServer:
    """A running stub, with its log."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self._log = log

    def log(self) -> str:
        """All it has logged so far."""
        return self._log.read_text()

    def get(self, path: str) -> Any:
        """GET something as JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())

    def stats(self) -> Any:
        """The stub's counters; reading them resets the longest stall."""
        return self.get("/stats")

    def wait_for(self, **wanted: int) -> Any:
        """The counters once they have these values; fails after 15 s."""
        end = time.monotonic() + 15
        while True:
            stats = self.stats()
            if all(stats[name] == value for name, value in wanted.items()):
                return stats
            assert time.monotonic() < end, stats
            time.sleep(0.02)

    def memory_mib(self, *, peak: bool = True) -> float:
        """Resident memory, the highest there was or that of now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        match = re.search(rf"{'VmHWM' if peak else 'VmRSS'}:\s+(\d+)", status)
        assert match
        return int(match[1]) / 1024

    def descriptors(self) -> int:
        """Open file descriptors."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))  # noqa: PTH208

    def check(self) -> None:
        """What must hold whatever a client did."""
        assert self.process.poll() is None
        assert "Traceback" not in self.log()
        assert self.memory_mib() < 120


@contextlib.contextmanager
def stub_server(**settings: Any) -> Iterator[StubServer]:
    """A stub with these settings, for the time of the block."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        command = [sys.executable, "-m", "tests.hailo_common.web.stub", json.dumps(settings)]
        with log.open("wb") as stderr:
            process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=stderr)
        with process:
            try:
                assert process.stdout
                server = StubServer(process, int(process.stdout.readline()), log)
                server.get("/ping")
                yield server
            finally:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
