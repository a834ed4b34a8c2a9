"""The limits of the HTTP layer, and what enforces those that all requests share."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from dataclasses import dataclass

from hailo_common.web.auth import ApiKeys
from hailo_common.web.errors import HttpRefusal

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, kw_only=True)
class HttpLimits:
    """The limits of one server in seconds and bytes; those without a default come from the configuration."""

    # Connections
    peer_connections: int
    """Connections one address may hold; 0 lifts the cap. Unix-socket peers are never counted."""
    connections: int = 128
    """Connections of all peers together; what is over gets 503, 0 lifts the cap. Each may hold 300 KiB."""
    keep_alive_s: int = 5
    write_deadline_s: float = 30.0
    """A client that does not read its answer for this long is dropped."""
    graceful_s: int = 27
    """The last bound on stopping; `systemd.serve` ends its grace before this."""

    # The head of a request
    head_deadline_s: float = 5.0
    head_bytes: int = 64 * KIB
    head_lines: int = 100
    hosts: tuple[str, ...]
    """Names this service answers to besides its own; `*` accepts every name."""

    # Who may use the service
    origins: tuple[str, ...]
    """Origins of pages that may use it (`https://chat.example`); `*` lets every page in."""
    keys: ApiKeys
    """API keys; without any, every request is let in, whatever key it brings."""

    # The body of a request
    body_deadline_s: float = 15.0
    body_bytes_per_s: int = 64 * KIB
    """Each such amount that arrived gives the client one second more."""
    body_budget: int = 32 * MIB
    """Bytes of bodies held at one time, over all requests."""
    chunk_allowance: int = 1000
    chunk_bytes: int = 512
    """A chunked body may have `chunk_allowance` chunks, and one more for each such amount."""
    linger_bytes: int = MIB
    linger_s: float = 2.0
    """What is read of a refused body, and for how long, so that the client sees the refusal."""

    # JSON and forms
    json_depth: int = 32
    json_containers: int = 2000
    json_text_bytes: int = 256 * KIB
    """What a JSON body may weigh without its images."""
    form_files: int = 1
    form_fields: int = 8
    form_part_bytes: int = 64 * KIB
    form_head_bytes: int = 4 * KIB


UNIX_PEER = "unix"


def peer_of(transport: asyncio.BaseTransport) -> str:
    """The address at the other end, without port; `unix` for a local socket."""
    name = transport.get_extra_info("peername")
    return str(name[0]).removeprefix("::ffff:") if isinstance(name, tuple) else UNIX_PEER


class ConnectionLimiter:
    """Counts the connections of one server."""

    def __init__(self, limits: HttpLimits) -> None:
        self._limits = limits
        self._peers: Counter[str] = Counter()

    @property
    def connections(self) -> int:
        """Connections that were let in and are still there."""
        return self._peers.total()

    def enter(self, peer: str) -> HttpRefusal | None:
        """Count a new connection, or say why it is refused (then it is not counted)."""
        cap = self._limits.peer_connections
        if cap and peer != UNIX_PEER and self._peers[peer] >= cap:
            return HttpRefusal(429, "too_many_connections", "This address has too many connections open.")
        if self._limits.connections and self.connections >= self._limits.connections:
            return HttpRefusal(503, "too_many_connections", "There are too many connections open.")
        self._peers[peer] += 1
        return None

    def leave(self, peer: str) -> None:
        """Forget a connection that `enter` counted."""
        self._peers[peer] -= 1
        if self._peers[peer] <= 0:
            del self._peers[peer]


class ByteBudget:
    """Bytes that are handed out first come, first served."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._free = total
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def used(self) -> int:
        """Bytes that are handed out now."""
        return self._total - self._free

    async def take(self, wanted: int) -> int:
        """Wait for `wanted` bytes (at most all of them) and take them; returns what to give back."""
        amount = min(wanted, self._total)
        if not self._waiting and amount <= self._free:
            self._free -= amount
            return amount
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (amount, turn)
        self._waiting.append(entry)
        try:
            await turn
        except asyncio.CancelledError:
            self._withdraw(entry)
            raise
        return amount

    def give_back(self, amount: int) -> None:
        """Return bytes that `take` handed out."""
        self._free += amount
        self._wake()

    def _withdraw(self, entry: tuple[int, asyncio.Future[None]]) -> None:
        amount, turn = entry
        # The bytes may have been granted in the same turn of the loop that cancelled the wait.
        if turn.done() and not turn.cancelled():
            self.give_back(amount)
            return
        with contextlib.suppress(ValueError):
            self._waiting.remove(entry)
        self._wake()

    def _wake(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            amount, turn = self._waiting.popleft()
            if turn.cancelled():
                continue
            self._free -= amount
            turn.set_result(None)
