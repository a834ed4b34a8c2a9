"""A child that somebody has taken over: it sends its parent what the first message's `options.lie` says."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator

from hailo_common.ipc.messages import child_channel, memfd_with

_BY_MEMFD = b"\0"
_DEEP = b'{"a": ' + b"[" * 30_000 + b"]" * 30_000 + b"}"
_INFO = {"model": "m", "resize": {}, "limits": {}, "capabilities": {}, "stages": []}


def packets(lie: str) -> Iterator[tuple[bytes, list[int]]]:
    """Packets and their descriptors."""
    null = os.open(os.devnull, os.O_RDONLY)
    unsealed = os.memfd_create("message", os.MFD_ALLOW_SEALING)
    os.write(unsealed, b'{"loaded": {}}')
    long = {"loaded": "x" * 2_000_000}
    table: dict[str, list[tuple[bytes, list[int]]]] = {
        "no JSON": [(b"{", [])],
        "a list": [(b"[]", [])],
        "deep": [(_DEEP, [])],
        "deep in a file": [(_BY_MEMFD, [memfd_with("m", [_DEEP])])],
        "long": [(_BY_MEMFD, [memfd_with("m", [json.dumps(long).encode()])])],
        "a file without the file": [(_BY_MEMFD, [])],
        "a device as a file": [(_BY_MEMFD, [null])],
        "a file that may change": [(_BY_MEMFD, [unsealed])],
        "surplus descriptors": [(b'{"loaded": {}}', [null, null])],
        "digits": [(b'{"loaded": ' + b"9" * 20_000 + b"}", [])],
        "latin": [(b'{"loaded": "\xe9"}', [])],
        "nothing of it": [(b"{}", [])],
        "loaded is a text": [(b'{"loaded": "x"}', [])],
        "loaded lacks all": [(b'{"loaded": {}}', [])],
        "failed is a text": [(b'{"load_failed": "x"}', [])],
        "failed lacks all": [(b'{"load_failed": {}}', [])],
        "odd stages": [(json.dumps({"loaded": {**_INFO, "stages": [5]}}).encode(), [])],
        "flood": [(b'{"pong": true}', [])] * 3000,
    }
    yield from table[lie]


def main() -> None:
    """Lie once, then wait for the end."""
    channel = child_channel()
    message, _ = channel.receive()
    sock = channel._sock
    with contextlib.suppress(OSError):
        for data, fds in packets(message["options"]["lie"]):
            socket.send_fds(sock, [data], fds)
        time.sleep(60)


if __name__ == "__main__":
    main()
