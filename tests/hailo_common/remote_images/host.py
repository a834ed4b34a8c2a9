"""A host of images on a port of 127.0.0.1 that does what a test says."""

from __future__ import annotations

import http.server
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from hailo_common.remote_images.address import Target


@dataclass
class Host:
    """What it answers, and what it was asked."""

    port: int = 0
    answer: Callable[[http.server.BaseHTTPRequestHandler], None] = lambda _: None
    asked: list[dict[str, str]] = field(default_factory=list)

    def resolver(self, _: Target) -> list[str]:
        """In the place of the resolver, which would refuse 127.0.0.1."""
        return ["127.0.0.1"]


def gives(
    data: bytes, status: int = 200, **headers: str
) -> Callable[[http.server.BaseHTTPRequestHandler], None]:
    """An answer of these bytes; names of headers have `_` for `-`."""

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        own = {
            "Content-Length": str(len(data)),
            **{name.replace("_", "-"): text for name, text in headers.items()},
        }
        for name, text in own.items():
            if text:
                handler.send_header(name, text)
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def drips(seconds: float) -> Callable[[http.server.BaseHTTPRequestHandler], None]:
    """A byte now and then, never an end."""

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            handler.wfile.write(b"x")
            time.sleep(0.1)

    return answer


@contextmanager
def host() -> Iterator[Host]:
    """A host until the end of the block."""
    made = Host()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append({**dict(self.headers.items()), "path": self.path})
            try:
                made.answer(self)
            except OSError:
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        made.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield made
        server.shutdown()


def silent_port() -> tuple[socket.socket, int]:
    """A socket that accepts and says nothing."""
    listener = socket.create_server(("127.0.0.1", 0))
    return listener, int(listener.getsockname()[1])
