"""Every limit of the HTTP front door, with its default.

API keys, kept only as digests: nothing that prints or logs this object can show a key.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field


class ApiKeys:
    """Any number of keys; `accepts` takes the same time whichever of them matches."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._digests = tuple(_digest(key) for key in keys)

    def __bool__(self) -> bool:
        return bool(self._digests)

    def __len__(self) -> int:
        return len(self._digests)

    def accepts(self, key: str) -> bool:
        """Whether `key` is one of them."""
        presented = _digest(key)
        matches = [hmac.compare_digest(presented, digest) for digest in self._digests]
        return any(matches)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, kw_only=True)
class HttpLimits:
    """The limits of the front door; times are seconds, sizes are bytes."""

    # Connections
    peer_connections: int = 32
    """Connections one address may hold; 0 lifts the cap. Unix-socket peers are never counted."""
    connections: int = 128
    """Connections of all peers together; what is over gets 503, 0 lifts the cap. Each may hold 300 KiB."""
    keep_alive_s: int = 5
    write_deadline_s: float = 30.0
    """A client that does not read its answer for this long is dropped."""
    graceful_s: int = 27
    """The last bound on stopping; `daemon.serve` ends its grace before this."""

    # The head of a request
    head_deadline_s: float = 5.0
    head_bytes: int = 64 * KIB
    head_lines: int = 100
    hosts: tuple[str, ...] = ()
    """Names this service answers to besides its own; `*` accepts every name."""

    # Who may use the service
    origins: tuple[str, ...] = ()
    """Origins of pages that may use it (`https://chat.example`); `*` lets every page in."""
    keys: ApiKeys = field(default_factory=ApiKeys)
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
    """What a JSON body may weigh without its pictures."""
    form_files: int = 1
    form_fields: int = 8
    form_part_bytes: int = 64 * KIB
    form_head_bytes: int = 4 * KIB

    # The log
    log_lines_per_s: int = 20
