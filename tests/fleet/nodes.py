"""Stand-in nodes for tests of the gateway: real HTTP servers whose work ends when a test says so."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PORT = 21435
WAIT_S = 30.0


class Node:
    """One node at an address of its own."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.ready = True
        self.go_on = threading.Event()
        """While it is clear, work that has begun does not end."""
        self.go_on.set()
        self.seen: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.most_at_once = 0
        self.answers: set[str] = set()
        """Ids of the answers that it keeps."""
        self._now = 0
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        node = self

        class Handler(_Handler):
            owner = node

        self._server = ThreadingHTTPServer((address, PORT), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @contextmanager
    def working(
        self, request: dict[str, Any], headers: dict[str, str], peer: socket.socket
    ) -> Iterator[None]:
        """Note a request that begins, until it ends."""
        with self._lock:
            self.seen.append(request)
            self.headers.append(headers)
            self._sockets.append(peer)
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            yield
        finally:
            with self._lock:
                self._now -= 1

    def die(self) -> None:
        """Like a process that is killed: connections break, and nobody listens any more."""
        self._server.shutdown()
        self._server.server_close()
        for each in self._sockets:
            # Not one more byte of an answer.
            each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Stop."""
        self.go_on.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    owner: Node
    protocol_version = "HTTP/1.1"
    _answer_id = ""

    def do_GET(self) -> None:
        ready = self.path != "/health/ready" or self.owner.ready
        kept = "/responses/" not in self.path or self.path.rpartition("/")[2] in self.owner.answers
        self._answer((200 if kept else 404) if ready else 503, {"node": self.owner.address})

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        request = json.loads(gzip.decompress(data) if self.headers.get("Content-Encoding") else data)
        with self.owner.working(
            request, {name.lower(): value for name, value in self.headers.items()}, self.connection
        ):
            before = request.get("previous_response_id")
            if before is not None and str(before) not in self.owner.answers:
                self._answer(400, {"node": self.owner.address})
                return
            self._answer_id = f"resp_{uuid.uuid4().hex}" if self.path.endswith("/responses") else ""
            if request.get("stream"):
                self._stream()
                return
            assert self.owner.go_on.wait(WAIT_S)
        self._answer(200, {"node": self.owner.address, "id": self._answer_id})

    def _keep(self) -> None:
        if self._answer_id:
            self.owner.answers.add(self._answer_id)
            self.send_header("X-Response-Id", self._answer_id)

    def _stream(self) -> None:
        self.send_response(200)
        self._keep()
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._chunk(b"data: one\n\n")
        assert self.owner.go_on.wait(WAIT_S)
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def _answer(self, status: int, body: dict[str, str]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self._keep()
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        try:
            self.wfile.write(data)
        except OSError:
            # It has died meanwhile.
            self.close_connection = True

    def handle(self) -> None:
        try:
            super().handle()
        except (OSError, ValueError):
            self.close_connection = True

    def finish(self) -> None:
        try:
            super().finish()
        except (OSError, ValueError):
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the tests look at `seen`."""
