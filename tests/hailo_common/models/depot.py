"""A web server that has files and can misbehave in every way that servers, proxies and networks do."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

Behaviour = Callable[["Handler", bytes], None]


def onnx(payload: bytes) -> bytes:
    """A model whose graph has one node, one output and one tensor with this content."""

    def field(number: int, content: bytes) -> bytes:
        size, length = len(content), b""
        while size > 127:
            length, size = length + bytes([size & 127 | 128]), size >> 7
        return bytes([number << 3 | 2]) + length + bytes([size]) + content

    return b"\x08\x08" + field(7, field(1, b"") + field(5, field(9, payload)) + field(12, b""))


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    server: Depot

    def do_GET(self) -> None:
        self.server.requests.append((self.path, self.headers.get("Range", "")))
        self.server.agents.append(self.headers.get("User-Agent", ""))
        path = urlsplit(self.path).path.lstrip("/")
        content = self.server.files.get(path)
        behaviour = self.server.behaviours.get(path)
        with contextlib.suppress(ConnectionError, TimeoutError):
            if behaviour is not None:
                behaviour(self, content or b"")
            elif content is None:
                self.refuse(404)
            else:
                self.give(content)

    def refuse(self, status: int) -> None:
        """An error without content."""
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def give(self, content: bytes, *, ranges: bool = True, extra: dict[str, str] | None = None) -> None:
        """The file, or the rest of it that was asked for."""
        start = self.start() if ranges else 0
        if start and start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.head(content, start, extra)
        self.wfile.write(content[start:])

    def head(self, content: bytes, start: int = 0, extra: dict[str, str] | None = None) -> None:
        """The head of an answer with `content` from `start` on."""
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(len(content) - start),
            "ETag": f'"{hashlib.sha256(content).hexdigest()[:12]}"',
            **(extra or {}),
        }
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def start(self) -> int:
        """The first byte that is asked for."""
        asked = self.headers.get("Range", "")
        return int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""


class Depot(ThreadingHTTPServer):
    """The server: `files` by path, `behaviours` for paths that misbehave, `requests` that came."""

    # Closing it waits for its threads: their sockets must not close in the middle of another test.
    daemon_threads = False

    def __init__(self, address: tuple[str, int] = ("127.0.0.1", 0), handler: type[Handler] = Handler) -> None:
        super().__init__(address, handler)
        self.connections: set[Any] = set()
        self.files: dict[str, bytes] = {}
        self.behaviours: dict[str, Behaviour] = {}
        self.requests: list[tuple[str, str]] = []
        self.agents: list[str] = []
        self.released = threading.Event()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection in a thread of its own."""
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """The end of a connection."""
        self.connections.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        """Hang up on every client, then wait for the threads."""
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        super().server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up is no error."""


@contextlib.contextmanager
def running() -> Iterator[Depot]:
    """A depot that answers."""
    depot = Depot()
    thread = threading.Thread(target=depot.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield depot
    finally:
        depot.released.set()
        depot.shutdown()
        depot.server_close()
        thread.join()


def page(handler: Handler, content: bytes) -> None:
    """A captive portal: a web page with status 200."""
    body = b"<!DOCTYPE html><title>Please log in</title>"
    handler.send_response(200)
    handler.send_header("Content-Type", "text/html; charset=utf-8")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def page_in_disguise(handler: Handler, content: bytes) -> None:
    """A web page that claims to be a file, of the file's size."""
    handler.give(b"<!DOCTYPE html>".ljust(len(content), b" "))


def short(handler: Handler, content: bytes) -> None:
    """Half of the file as if it were all."""
    handler.give(content[: len(content) // 2])


def wrong(handler: Handler, content: bytes) -> None:
    """Other bytes, as many."""
    handler.give(content[:-1] + bytes([content[-1] ^ 1]))


def longer(handler: Handler, content: bytes) -> None:
    """More bytes than the file has, without telling."""
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    with contextlib.suppress(OSError):
        for _ in range(1000):
            handler.wfile.write(content + b"more")
    handler.close_connection = True


def compressed(handler: Handler, content: bytes) -> None:
    """Compressed although nobody asked."""
    handler.give(content, extra={"Content-Encoding": "gzip"})


def no_ranges(handler: Handler, content: bytes) -> None:
    """Always the whole file."""
    handler.give(content, ranges=False)


def stall(handler: Handler, content: bytes) -> None:
    """Half of the file, then silence."""
    handler.head(content)
    handler.wfile.write(content[: len(content) // 2])
    handler.server.released.wait(60)
    handler.close_connection = True


def drip(handler: Handler, content: bytes) -> None:
    """A byte now and then."""
    handler.head(content)
    for position in range(len(content)):
        if handler.server.released.wait(0.2):
            break
        handler.wfile.write(content[position : position + 1])
    handler.close_connection = True


def silent(handler: Handler, content: bytes) -> None:
    """No answer at all."""
    handler.server.released.wait(60)
    handler.close_connection = True


def cut(size: int) -> Behaviour:
    """Breaks off after each `size` bytes, and resumes."""

    def behave(handler: Handler, content: bytes) -> None:
        start = handler.start()
        handler.head(content, start)
        handler.wfile.write(content[start : start + size])
        handler.close_connection = True

    return behave


def status(code: int, times: int = 1 << 30) -> Behaviour:
    """An error status, so many times; then the file."""
    left = [times]

    def behave(handler: Handler, content: bytes) -> None:
        left[0] -= 1
        if left[0] >= 0:
            handler.refuse(code)
        else:
            handler.give(content)

    return behave


def redirect(target: str) -> Behaviour:
    """Always on to this place."""

    def behave(handler: Handler, content: bytes) -> None:
        handler.send_response(302)
        handler.send_header("Location", target)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return behave


def redirect_onwards(handler: Handler, content: bytes) -> None:
    """From `?1` on to `?2` and so on for ever: the request alone decides, however many threads answer."""
    parts = urlsplit(handler.path)
    redirect(f"{parts.path}?{int(parts.query or 0) + 1}")(handler, content)


def slowly(seconds: float) -> Behaviour:
    """The whole file, but only after a while."""

    def behave(handler: Handler, content: bytes) -> None:
        time.sleep(seconds)
        handler.give(content)

    return behave


def refuses_ranges(code: int) -> Behaviour:
    """The whole file, and this status without a word to whoever asks for the rest of it."""

    def behave(handler: Handler, content: bytes) -> None:
        if handler.start():
            handler.refuse(code)
        else:
            handler.give(content)

    return behave


def endless(cuts: int, size: int) -> Behaviour:
    """No length, no tag; so many times the connection closes after `size` bytes as if that were all."""
    left = [cuts]

    def behave(handler: Handler, content: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        left[0] -= 1
        handler.wfile.write(content[:size] if left[0] >= 0 else content)
        handler.close_connection = True

    return behave


def new_tag(cut_after: int) -> Behaviour:
    """Another entity tag in each answer, and never more than so many bytes."""
    count = [0]

    def behave(handler: Handler, content: bytes) -> None:
        count[0] += 1
        handler.head(content, handler.start(), {"ETag": f'"{count[0]}"'})
        handler.wfile.write(content[handler.start() :][:cut_after])
        handler.close_connection = True

    return behave


def signed(name: str, lives: int) -> tuple[Behaviour, Behaviour]:
    """A first address that leads on to a signed one, which is good for so many requests and then for none."""
    number, used = [0], [0]

    def first(handler: Handler, content: bytes) -> None:
        if used[0] >= lives:
            number[0], used[0] = number[0] + 1, 0
        redirect(f"/{name}?signature={number[0]}")(handler, content)
        # The answer is on its way already when the signature's time is over.
        used[0] += 1

    def second(handler: Handler, content: bytes) -> None:
        if urlsplit(handler.path).query == "signature=0":
            handler.refuse(403)
        else:
            cut(300_000)(handler, content)

    return first, second
