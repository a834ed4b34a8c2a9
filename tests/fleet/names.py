"""A name server that knows one name, with as many addresses as a test wants."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

ADDRESS = "127.0.0.54"
NAME = "nodes.test"


class Names:
    """Answers for `nodes.test`; `addresses` may change while it runs."""

    def __init__(self, addresses: list[str]) -> None:
        self.addresses = addresses
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((ADDRESS, 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Stop."""
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                query, peer = self._socket.recvfrom(512)
                self._socket.sendto(self._answer(query), peer)
            except OSError:
                return

    def _answer(self, query: bytes) -> bytes:
        end = query.index(b"\0", 12) + 5
        kind = struct.unpack("!H", query[end - 4 : end - 2])[0]
        # Addresses of IPv4 only; to any other question the name exists and has none.
        found = [socket.inet_aton(address) for address in self.addresses] if kind == 1 else []
        head = query[:2] + struct.pack("!HHHHH", 0x8180, 1, len(found), 0, 0)
        records = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 1, 4) + data for data in found)
        return head + query[12:end] + records


@contextmanager
def named(addresses: list[str]) -> Iterator[Names]:
    """A running name server."""
    names = Names(addresses)
    try:
        yield names
    finally:
        names.close()
