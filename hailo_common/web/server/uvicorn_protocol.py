"""uvicorn with what it lacks on an open network: deadlines, caps, a strict parser, refusals in our format.

uvicorn's h11 protocol is subclassed at the few methods that 0.32 and 0.54 have in common.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import socket
from typing import Any, cast

import h11
import uvicorn
from fastapi import FastAPI
from starlette.types import Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

from hailo_common.web.errors import HttpRefusal, encode
from hailo_common.web.limits import peer_of
from hailo_common.web.server.strict_h11 import StrictConnection, refusal_for
from hailo_common.web.state import ServerState, request_state_of, server_state_of

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


BACKLOG = 256
_M_MMAP_THRESHOLD = -3
_THRESHOLD = 1024 * 1024  # well over the 256 KiB that asyncio asks for at each read
# What a client can make uvicorn say any number of times; the request log has it already.
_NOISE = (
    "Invalid HTTP request received.",
    "ASGI callable returned without completing response.",
)


def make_server(app: FastAPI) -> uvicorn.Server:
    """A server for an app of `make_base_app`; run it with `serve(sockets=[...])`."""
    _give_large_blocks_back()
    server_state = server_state_of(app)

    logging.getLogger("uvicorn.error").addFilter(_is_news)
    config = uvicorn.Config(
        app,
        http=type("BoundProtocol", (StrictProtocol,), {"shared": server_state}),
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        # asyncio accepts this many at one go, before the first of them can be refused.
        backlog=BACKLOG,
        h11_max_incomplete_event_size=server_state.limits.head_bytes,
        timeout_keep_alive=server_state.limits.keep_alive_s,
        timeout_graceful_shutdown=server_state.limits.graceful_s,
    )
    return uvicorn.Server(config)


def _give_large_blocks_back() -> None:
    """Have glibc map each large block by itself, so that freeing it returns it to the system.

    By default the first large block that is freed raises the threshold to its size; later ones then come from
    the heap, which small blocks keep from shrinking. Peak of six bodies of 13 MB: 191 MiB, with this 104 MiB.
    """
    # Other C libraries have no such knob and no such need.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _THRESHOLD)


def _is_news(record: logging.LogRecord) -> bool:
    return record.msg not in _NOISE


def _send_at_once(transport: asyncio.BaseTransport) -> None:
    # asyncio does this only where the listening socket was made with proto=IPPROTO_TCP; without it, the body
    # of an answer waits 40 ms for the client's delayed acknowledgement of the head.
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class StrictProtocol(H11Protocol):
    """One connection; `make_server` sets `shared` (uvicorn has a `server_state` of its own)."""

    shared: ServerState
    conn: StrictConnection

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = StrictConnection(self.shared.limits)
        self._peer = ""
        self._admitted = False
        self._left_to_discard: int | None = None
        self._discarded = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._linger_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let the connection in, or turn it away before it can cost anything."""
        super().connection_made(cast("asyncio.Transport", CoalescingTransport(transport, self.loop)))
        _send_at_once(transport)
        self._peer = peer_of(transport)
        refusal = self.shared.connection_limiter.enter(self._peer)
        if refusal is not None:
            # No lingering: that would hold the very descriptors the cap protects.
            self._left_to_discard = 0
            self._send_refusal(refusal)
            self.transport.close()
            return
        self._admitted = True
        self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection, and tell the request that is under way."""
        self._give_up_request()
        super().connection_lost(exc)
        for timer in (self._head_timer, self._write_timer, self._linger_timer):
            if timer is not None:
                timer.cancel()
        self._leave()

    def _leave(self) -> None:
        self.shared.connection_limiter.busy(self)
        if self._admitted:
            self._admitted = False
            self.shared.connection_limiter.leave(self._peer)

    def give_way(self) -> None:
        """Close, because it is idle and another connection needs the place."""
        self._unset_keepalive_if_required()
        self._leave()
        self.transport.close()
        self._guard_close()

    def data_received(self, data: bytes) -> None:
        """Parse what arrived, or throw it away after a refusal."""
        if self._left_to_discard is None:
            super().data_received(data)
            return
        self._left_to_discard -= len(data)
        if self._left_to_discard < 0:
            self.flow.pause_reading()
        elif self._linger_timer is not None:
            self._discarded += len(data)
            if self._discarded > self.shared.limits.linger_bytes_per_s:
                self._discarded = 0
                self._linger()

    def handle_events(self) -> None:
        """Work off what arrived, then see whether a head is under way."""
        super().handle_events()
        if self.conn.their_state is not h11.IDLE:
            self.shared.connection_limiter.busy(self)
            self._stop_head_timer()
        elif self.conn.waiting_bytes and self._left_to_discard is None:
            self.shared.connection_limiter.busy(self)
            # uvicorn takes a connection for idle whose next head began before the last answer ended.
            self._unset_keepalive_if_required()
            self._start_head_timer()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 (uvicorn's text says less than the refusal)
        """Refuse what the parser did not accept."""
        self._refuse(self.conn.refusal or refusal_for(400))

    def on_response_complete(self) -> None:
        """Make sure that an answer nobody fetches does not stay."""
        super().on_response_complete()
        if (
            self.conn.their_state is h11.IDLE
            and not self.conn.waiting_bytes
            and not self.transport.is_closing()
        ):
            self.shared.connection_limiter.idle(self, self._peer)
        self._guard_close()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection."""
        super().timeout_keep_alive_handler()
        self._guard_close()

    def shutdown(self) -> None:
        """Close, or finish the running request first, because the server stops."""
        if self._left_to_discard is not None:
            self.transport.close()
            return
        super().shutdown()
        self._guard_close()

    def pause_writing(self) -> None:
        """The client does not read; give it a while."""
        super().pause_writing()
        self._start_write_timer()

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _start_head_timer(self) -> None:
        if self._head_timer is None:
            delay = self.shared.limits.head_deadline_s
            self._head_timer = self.loop.call_later(delay, self._on_head_timeout)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _on_head_timeout(self) -> None:
        if self.conn.waiting_bytes:
            self._refuse(HttpRefusal(408, "request_timeout", "The request did not arrive in time."))
        else:
            self.transport.close()

    def _start_write_timer(self) -> None:
        if self._write_timer is None:
            delay = self.shared.limits.write_deadline_s
            self._write_timer = self.loop.call_later(delay, self._on_write_timeout)

    def _on_write_timeout(self) -> None:
        self._note("client_not_reading", 0)
        self.transport.abort()

    def _guard_close(self) -> None:
        # A closing transport first sends what it holds, however long the client does not read it.
        if self.transport.is_closing() and self.transport.get_write_buffer_size():
            self._start_write_timer()

    def _refuse(self, refusal: HttpRefusal) -> None:
        """Answer for the app and close, reading a little further so that the client sees the answer."""
        limits = self.shared.limits
        self._stop_head_timer()
        self._unset_keepalive_if_required()
        self._left_to_discard = limits.linger_bytes
        self._give_up_request()
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.abort()
            return
        self._send_refusal(refusal)
        if self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()
        self._linger()

    def _linger(self) -> None:
        """Read on for a while; a client that still sends much gets more of it."""
        if self._linger_timer is not None:
            self._linger_timer.cancel()
        self._linger_timer = self.loop.call_later(self.shared.limits.linger_s, self._end_linger)

    def _give_up_request(self) -> None:
        """Let the app see that nobody waits for its answer."""
        if self.cycle is not None and not self.cycle.response_complete:
            request_state_of(cast("Scope", self.cycle.scope)).client_gone = True
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _end_linger(self) -> None:
        self.transport.close()
        self._guard_close()

    def _send_refusal(self, refusal: HttpRefusal) -> None:
        status, body, _ = encode(self.shared.error_format, refusal)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        head = h11.Response(status_code=status, headers=headers)
        for event in (head, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self._note(refusal.code, status)

    def _note(self, code: str, status: int) -> None:
        self.shared.note_refusal(code, {"ENDPOINT": "-", "STATUS": status, "PEER": self._peer})
