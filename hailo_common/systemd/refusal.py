"""Answers for a service whose configuration cannot be used: who already waits at its port gets 503 at once.

systemd keeps the port open and starts the service for whoever connects; without an answer they would wait for
nothing. Each gets the file, line and key that are wrong, never a value. Run by hailo-serve, which ends with
the status that systemd must see after it. Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import re
import select
import socket
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

FIRST_FD = 3
LINGER_S = 15.0
"""Who connects within this time of the last one is answered, too: systemd polls a port 3 times in 30 s."""
MOST_S = 90.0
"""Less than the unit may take to start."""
_HEAD_S, _DRAIN_S = 2.0, 1.0
_HEAD_BYTES = 8192
_DRAIN_BYTES = 1 << 20
_AT_ONCE = 16
_PLACE = re.compile(r"(?:hailo-ctl: )?(/[^\s:]+:\d+: [\w.-]+):")


def place_of(reason: str) -> str:
    """File, line and key of a configuration error; empty where it names none."""
    match = _PLACE.search(reason)
    return match[1] if match else ""


def answer(service: str, reason: str) -> bytes:
    """The response that every request gets, in the form of the service's errors."""
    place = place_of(reason)
    where = f": {place} is not valid" if place else ""
    text = f"The configuration cannot be used{where}. The journal says more: journalctl -u {service}"
    code = "configuration_invalid"
    body: dict[str, object] = {"error": code, "message": text, "status": 503}
    if service == "hailo-vision":
        body = {"error": {"message": text, "type": "server_error", "param": None, "code": code}}
    content = json.dumps(body).encode()
    head = (
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 60\r\n"
        f"Connection: close\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def serve(listeners: Sequence[socket.socket], response: bytes) -> int:
    """Answer who waits, and who comes within `LINGER_S` of the last; returns how many, at once for none."""
    count, free = 0, threading.Semaphore(_AT_ONCE)
    end = time.monotonic() + MOST_S
    wait = 0.0
    while time.monotonic() < end:
        ready, _, _ = select.select(listeners, [], [], min(wait, end - time.monotonic()))
        if not ready:
            break
        for listener in ready:
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                count, wait = count + 1, LINGER_S
                free.acquire()
                threading.Thread(target=_give, args=(connection, response, free), daemon=True).start()
    # The last ones have their answers before the process ends.
    for _ in range(_AT_ONCE):
        free.acquire(timeout=_HEAD_S + _DRAIN_S)
    return count


def _give(connection: socket.socket, response: bytes, free: threading.Semaphore) -> None:
    with connection, contextlib.suppress(OSError):
        try:
            _read_head(connection)
            connection.sendall(response)
            connection.shutdown(socket.SHUT_WR)
            _drain(connection)
        finally:
            free.release()


def _read_head(connection: socket.socket) -> None:
    head, end = b"", time.monotonic() + _HEAD_S
    while b"\r\n\r\n" not in head and len(head) < _HEAD_BYTES and (left := end - time.monotonic()) > 0:
        connection.settimeout(left)
        block = connection.recv(_HEAD_BYTES)
        if not block:
            return
        head += block


def _drain(connection: socket.socket) -> None:
    """Read what still comes: a connection that is closed on unread bytes is reset, and the answer lost."""
    count, end = 0, time.monotonic() + _DRAIN_S
    while count < _DRAIN_BYTES and (left := end - time.monotonic()) > 0:
        connection.settimeout(left)
        block = connection.recv(1 << 16)
        if not block:
            return
        count += len(block)


def main(service: str, count: str, reason: Path) -> None:
    """Answer on systemd's sockets, `count` of them."""
    number = int(count) if count.isascii() and count.isdecimal() else 0
    listeners = [socket.socket(fileno=fd) for fd in range(FIRST_FD, FIRST_FD + min(number, 16))]
    for listener in listeners:
        listener.setblocking(False)
    if listeners:
        serve(listeners, answer(service, reason.read_text(encoding="utf-8", errors="replace")))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
