"""How many connections there may be: per address, so that one client cannot take all, and in total."""

from __future__ import annotations

import asyncio
from collections import Counter

from hailo_common.web.errors import HttpRefusal
from hailo_common.web.settings import WebSettings

UNIX_PEER = "unix"


def peer_of(transport: asyncio.BaseTransport) -> str:
    """The address at the other end, without port; `unix` for a local socket."""
    name = transport.get_extra_info("peername")
    return str(name[0]).removeprefix("::ffff:") if isinstance(name, tuple) else UNIX_PEER


class Gate:
    """Counts the connections of one server."""

    def __init__(self, settings: WebSettings) -> None:
        self._settings = settings
        self._peers: Counter[str] = Counter()

    @property
    def connections(self) -> int:
        """Connections that were let in and are still there."""
        return self._peers.total()

    def enter(self, peer: str) -> HttpRefusal | None:
        """Count a new connection, or say why it is refused (then it is not counted)."""
        cap = self._settings.peer_connections
        if cap and peer != UNIX_PEER and self._peers[peer] >= cap:
            return HttpRefusal(429, "too_many_connections", "This address has too many connections open.")
        if self._settings.connections and self.connections >= self._settings.connections:
            return HttpRefusal(503, "too_many_connections", "There are too many connections open.")
        self._peers[peer] += 1
        return None

    def leave(self, peer: str) -> None:
        """Forget a connection that `enter` counted."""
        self._peers[peer] -= 1
        if self._peers[peer] <= 0:
            del self._peers[peer]
