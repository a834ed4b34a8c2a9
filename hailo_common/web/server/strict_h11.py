"""h11 with the leniencies taken out that another parser in front of it may read differently.

What HTTP tells a server to ignore or to understand is: an `Upgrade` (RFC 9110, 7.8), empty lines before a
request (RFC 9112, 2.2), a target in absolute form, whose authority then counts and not the Host (RFC 9112,
3.2.2). Every head is judged before h11 parses it, every chunk is counted after. Nothing here does I/O.
"""

from __future__ import annotations

import re
from typing import Any

import h11

from hailo_common.web.errors import HttpRefusal
from hailo_common.web.limits import HttpLimits

_LENGTH = re.compile(rb"[0-9]{1,18}")
_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/1\.[01]")
_REFUSED_METHODS = (b"TRACE", b"CONNECT")
_ABSOLUTE = re.compile(rb"https?://([^/?#@]+)(/[^#]*|\?[^#]*|)", re.IGNORECASE)
_MAX_EMPTY_LINES = 4


def refusal_for(status: int) -> HttpRefusal:
    """The refusal for what h11 itself found."""
    if status == 431:
        return HttpRefusal(431, "head_too_large", "The head of the request is too large.")
    return HttpRefusal(400, "invalid_http", "The request is not valid HTTP/1.1.")


class StrictConnection(h11.Connection):
    """A server connection that sets `refusal` and raises RemoteProtocolError for what it does not accept."""

    def __init__(self, limits: HttpLimits) -> None:
        super().__init__(h11.SERVER, limits.head_bytes)
        self._limits = limits
        self._chunks = 0
        self._body_bytes = 0
        self.refusal: HttpRefusal | None = None

    @property
    def waiting_bytes(self) -> int:
        """Bytes that arrived and belong to no request yet."""
        return len(self.trailing_data[0])

    def next_event(self) -> Any:
        """The next event, as h11 has it."""
        try:
            if self.their_state is h11.IDLE:
                self._skip_empty_lines()
                if self.trailing_data[0] == b"\r":
                    return h11.NEED_DATA
                self._judge_head(self.trailing_data[0])
            event = super().next_event()
            if isinstance(event, h11.Data):
                self._count_chunk(event)
            elif isinstance(event, h11.Request):
                event = self._plain_request(event)
        except HttpRefusal as refusal:
            self.refusal = refusal
            raise h11.RemoteProtocolError(refusal.code, refusal.status) from None
        except h11.RemoteProtocolError as error:
            self.refusal = refusal_for(error.error_status_hint)
            raise
        return event

    def _skip_empty_lines(self) -> None:
        for _ in range(_MAX_EMPTY_LINES):
            if not self.trailing_data[0].startswith(b"\r\n"):
                return
            self._receive_buffer.maybe_extract_at_most(2)

    def _plain_request(self, request: h11.Request) -> h11.Request:
        """The request without its wish for another protocol, its target in origin form."""
        # h11 would wait for the switch, and stop reading.
        self._cstate.pending_switch_proposals.clear()
        headers = [field for field in request.headers if field[0] not in (b"upgrade", b"http2-settings")]
        target = request.target
        if absolute := _ABSOLUTE.fullmatch(target):
            headers = [field for field in headers if field[0] != b"host"] + [(b"host", absolute[1])]
            target = absolute[2] if absolute[2].startswith(b"/") else b"/" + absolute[2]
        if target is request.target and len(headers) == len(request.headers):
            return request
        return h11.Request(
            method=request.method, target=target, headers=headers, http_version=request.http_version
        )

    def _judge_head(self, waiting: bytes) -> None:
        if waiting and waiting[0] < 0x21:
            # Most likely TLS; no request starts like this.
            raise refusal_for(400)
        end = waiting.find(b"\r\n\r\n")
        head = waiting if end < 0 else waiting[:end]
        if head.count(b"\n") != head.count(b"\r\n"):
            raise HttpRefusal(400, "bad_line_ending", "Lines must end with CR LF.")
        if end < 0:
            return
        self._chunks = self._body_bytes = 0
        if end > self._limits.head_bytes or head.count(b"\n") > self._limits.head_lines:
            raise refusal_for(431)
        first, *lines = head.split(b"\r\n")
        _judge_request_line(first)
        _judge_fields(lines, http10=first.endswith(b"0"))

    def _count_chunk(self, event: h11.Data) -> None:
        self._body_bytes += len(event.data)
        self._chunks += event.chunk_start
        if self._chunks > self._limits.chunk_allowance + self._body_bytes // self._limits.chunk_bytes:
            raise HttpRefusal(400, "too_many_chunks", "The body comes in too many small chunks.")


def _judge_request_line(line: bytes) -> None:
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise refusal_for(400)
    if match[1] in _REFUSED_METHODS:
        raise HttpRefusal(405, "method_not_allowed", "This service does not support the method.")
    if not match[2].startswith(b"/") and not _ABSOLUTE.fullmatch(match[2]):
        raise HttpRefusal(400, "bad_target", "The request target must be a path or an http: URL.")


def _judge_fields(lines: list[bytes], *, http10: bool) -> None:
    if any(line[:1] in (b" ", b"\t") for line in lines):
        raise HttpRefusal(400, "folded_header", "A header must not span lines.")
    fields = [(name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
    lengths = [value for name, value in fields if name == b"content-length"]
    codings = [value for name, value in fields if name == b"transfer-encoding"]
    if len(lengths) + len(codings) > 1 or (codings and (http10 or codings[0].lower() != b"chunked")):
        raise HttpRefusal(400, "bad_framing", "The length of the body must be given once, in one way.")
    if lengths and not _LENGTH.fullmatch(lengths[0]):
        raise HttpRefusal(400, "bad_framing", "The Content-Length is malformed.")
