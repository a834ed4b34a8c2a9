"""The limits of the HTTP layer, and what enforces those that all requests share."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass
from typing import Protocol

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
    keep_alive_s: int = 75
    """How long a connection may be idle; the longest idle one gives way before a new one is refused."""
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
    linger_bytes: int = 16 * MIB
    linger_s: float = 2.0
    linger_bytes_per_s: int = MIB
    """What is read of a refused body and thrown away, so that the client sees the refusal: as many bytes, for
    as many seconds and one more for each such amount that arrived."""

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


class IdleConnection(Protocol):
    """A connection between two requests, which can be closed without a loss."""

    def give_way(self) -> None:
        """Close it now, and `leave` the limiter."""
        ...


class ConnectionLimiter:
    """Counts the connections of one server."""

    def __init__(self, limits: HttpLimits) -> None:
        self._limits = limits
        self._peers: Counter[str] = Counter()
        self._idle: OrderedDict[IdleConnection, str] = OrderedDict()

    @property
    def connections(self) -> int:
        """Connections that were let in and are still there."""
        return self._peers.total()

    def enter(self, peer: str) -> HttpRefusal | None:
        """Count a new connection, or say why it is refused (then it is not counted)."""
        cap = self._limits.peer_connections
        if cap and peer != UNIX_PEER and self._peers[peer] >= cap and not self._close_idle(peer):
            return HttpRefusal(
                429,
                "too_many_connections",
                f"This address has {cap} connections open; more are not allowed (max_connections_per_peer).",
            )
        if (
            self._limits.connections
            and self.connections >= self._limits.connections
            and not self._close_idle()
        ):
            return HttpRefusal(
                503,
                "too_many_connections",
                f"{self._limits.connections} connections are open; try again later.",
            )
        self._peers[peer] += 1
        return None

    def leave(self, peer: str) -> None:
        """Forget a connection that `enter` counted."""
        self._peers[peer] -= 1
        if self._peers[peer] <= 0:
            del self._peers[peer]

    def idle(self, connection: IdleConnection, peer: str) -> None:
        """Note that a connection waits for its next request."""
        self._idle[connection] = peer
        self._idle.move_to_end(connection)

    def busy(self, connection: IdleConnection) -> None:
        """Note that it does not, or is gone."""
        self._idle.pop(connection, None)

    def _close_idle(self, peer: str | None = None) -> bool:
        """Close the connection that is idle longest, of one peer or of all; whether there was one."""
        found = next((each for each, its in self._idle.items() if peer in (None, its)), None)
        if found is None:
            return False
        self.busy(found)
        found.give_way()
        return True


_UNKNOWN_AHEAD = MIB


class BodyShare:
    """One body's bytes in the budget: `held` that have arrived, `remaining` that may still come.

    Of a body whose length nobody knows a MiB more is expected at any time: were it all that is allowed,
    two such bodies could never arrive together.
    """

    def __init__(self, expected: int | None, most: int) -> None:
        self.held = 0
        self._most = most if expected is None else min(expected, most)
        self._ahead = _UNKNOWN_AHEAD if expected is None else self._most
        self.remaining = min(self._ahead, self._most)

    def move(self, amount: int) -> None:
        """Count bytes that arrived."""
        self.held += amount
        self.remaining = max(0, min(self._ahead, self._most - self.held))


class ByteBudget:
    """Bytes of all bodies, counted as they arrive: an upload that stalls holds what it has sent, no more.

    Bytes are handed out only while all bodies can still arrive one after the other (the banker's algorithm),
    so that bodies which have arrived in part never wait for each other for ever.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._used = 0
        self._reading: list[BodyShare] = []
        self._waiting: deque[tuple[BodyShare, int, asyncio.Future[None]]] = deque()

    @property
    def used(self) -> int:
        """Bytes that are handed out now."""
        return self._used

    def open(self, expected: int | None) -> BodyShare:
        """A share for a body of at most `expected` bytes, None where that is not known; `close` it in the
        end.
        """
        share = BodyShare(expected, self._total)
        self._reading.append(share)
        return share

    async def take(self, share: BodyShare, amount: int) -> None:
        """Wait until `amount` more bytes of a body may be held."""
        amount = min(amount, self._total - share.held)
        if self._grant(share, amount):
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (share, amount, turn)
        self._waiting.append(entry)
        try:
            await turn
        except asyncio.CancelledError:
            # What was granted in the same turn of the loop stays with the share, which is closed soon.
            with contextlib.suppress(ValueError):
                self._waiting.remove(entry)
            raise

    def finish(self, share: BodyShare) -> None:
        """All of a body is there; what it holds it keeps."""
        share.remaining = 0
        if share in self._reading:
            self._reading.remove(share)
        self._wake()

    def close(self, share: BodyShare) -> None:
        """Give back what a share holds. May be called twice."""
        self._used -= share.held
        share.held = 0
        self.finish(share)

    def _grant(self, share: BodyShare, amount: int) -> bool:
        if not self._is_safe(share, amount):
            return False
        share.move(amount)
        self._used += amount
        return True

    def _is_safe(self, share: BodyShare, amount: int) -> bool:
        free = self._total - self._used - amount
        if free < 0:
            return False
        wanted = sorted(
            (each.remaining - amount, each.held + amount) if each is share else (each.remaining, each.held)
            for each in self._reading
        )
        for remaining, held in wanted:
            if remaining > free:
                return False
            free += held
        return True

    def _wake(self) -> None:
        for entry in tuple(self._waiting):
            share, amount, turn = entry
            if turn.done():
                continue
            if self._grant(share, amount):
                self._waiting.remove(entry)
                turn.set_result(None)
