"""How many connections there may be: per address, so that one client cannot take all, and in total.

A bound on the bytes of request bodies that are in memory at one time.

One line a request, at a bounded rate, with nothing in it that a client chose.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter, deque

from hailo_common.web.errors import HttpRefusal
from hailo_common.web.limits import HttpLimits

UNIX_PEER = "unix"


def peer_of(transport: asyncio.BaseTransport) -> str:
    """The address at the other end, without port; `unix` for a local socket."""
    name = transport.get_extra_info("peername")
    return str(name[0]).removeprefix("::ffff:") if isinstance(name, tuple) else UNIX_PEER


class ConnectionLimiter:
    """Counts the connections of one server."""

    def __init__(self, settings: HttpLimits) -> None:
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


logger = logging.getLogger("hailo_common.web")

PROBES = ("/health", "/health/ready", "/readyz", "/metrics")


class RequestLogLimiter:
    """Writes request lines through a token bucket; lines over the rate are counted and reported later."""

    def __init__(self, lines_per_s: int) -> None:
        self._rate = lines_per_s
        self._tokens = float(lines_per_s)
        self._filled_at = time.monotonic()
        self._suppressed = 0

    def request(self, fields: dict[str, str | int], code: str | None) -> None:
        """Log one answered or refused request; `code` names the refusal."""
        if not self._take():
            self._suppress()
            return
        refused = {} if code is None else {"CODE": code}
        probe = code is None and fields.get("ENDPOINT") in PROBES
        event = {"EVT": "request" if code is None else "refused"}
        # The log's formatter writes the fields into the line; probes come every few seconds for ever.
        logger.log(
            logging.DEBUG if probe else logging.INFO, "", extra={"fields": {**event, **fields, **refused}}
        )

    def _take(self) -> bool:
        now = time.monotonic()
        self._tokens = min(float(self._rate), self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def _suppress(self) -> None:
        self._suppressed += 1
        if self._suppressed == 1:
            asyncio.get_running_loop().call_later(1.0, self._report)

    def _report(self) -> None:
        count, self._suppressed = self._suppressed, 0
        logger.info("", extra={"fields": {"EVT": "suppressed", "N": count}})
