"""A transport that sends in one packet what was written in one go: head and body of an answer, many chunks.

Each packet of its own costs a system call and wakes the client for nothing.
"""

from __future__ import annotations

import asyncio
from typing import Any

_MAX_HELD = 64 * 1024


class CoalescingTransport:
    """Holds what is written until the event loop's next turn; everything else goes to the real transport."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []
        self._held_bytes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send soon."""
        if not self._held:
            self._loop.call_soon(self.flush)
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > _MAX_HELD:
            # More than one packet anyway; and only the real transport can say that the client does not read.
            self.flush()

    def flush(self) -> None:
        """Send now what is held."""
        if self._held:
            data, self._held, self._held_bytes = b"".join(self._held), [], 0
            self._transport.write(data)

    def get_write_buffer_size(self) -> int:
        """Bytes that the client has not taken."""
        return self._held_bytes + self._transport.get_write_buffer_size()

    def write_eof(self) -> None:
        """Send what is held, then the end."""
        self.flush()
        self._transport.write_eof()

    def close(self) -> None:
        """Send what is held, then close."""
        self.flush()
        self._transport.close()
