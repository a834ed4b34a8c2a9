"""What comes from a client: the body, counted against a deadline and a shared budget, and the hang-up.

Refuse what can be refused without the body (rights, queue) before reading it.
"""

from __future__ import annotations

import asyncio
import io
import zlib
from collections.abc import AsyncGenerator, Awaitable, Iterator, MutableMapping
from typing import Any, TypeVar

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive, Scope, Send

from hailo_common.errors import BadRequest, Busy, TooLarge
from hailo_common.web.errors import RequestTimeout
from hailo_common.web.limits import BodyShare, ByteBudget, HttpLimits
from hailo_common.web.media import ENCODINGS, JSON, check_charset, content_encoding, is_unsaid, require_media
from hailo_common.web.state import request_state_of, server_state_of
from hailo_common.web.strict_json import parse_json

T = TypeVar("T")

_IMAGE_BEGINS = frozenset((b"\xff", b"\x89", b"R", b"G", b"B", b"I", b"M", b"\0"))
"""First bytes of JPEG, PNG, WebP, GIF, BMP, TIFF (both) and AVIF: no JSON object begins with one."""
_UNPACKED_BYTES = 256 * 1024


async def read_body(request: Request, *, limit: int) -> bytes:
    """The whole body, at most `limit` bytes.

    Raises TooLarge, RequestTimeout, Busy or ClientDisconnect. The bytes count against the shared budget until
    `release_body` or the end of the request.
    """
    # BytesIO hands its buffer over without a copy, which a join of chunks would make.
    buffer = io.BytesIO()
    async for chunk in stream_body(request, limit=limit):
        buffer.write(chunk)
    return buffer.getvalue()


async def read_json(request: Request, *, limit: int) -> dict[str, Any]:
    """The JSON object in the body: content type, size and contents checked."""
    require_media(request, JSON)
    body = await read_body(request, limit=limit)
    check_charset(request, body)
    return parse_json(body, limits=server_state_of(request).limits)


async def read_json_or_image(request: Request, *, limit: int) -> dict[str, Any] | bytes:
    """As `read_json`; of a body whose type is not said, and which is no JSON, the bytes.

    That is a file as `curl --data-binary @x.jpg` sends it.
    """
    if not is_unsaid(request):
        return await read_json(request, limit=limit)
    require_media(request, JSON)
    body = await read_body(request, limit=limit)
    if body[:1] in _IMAGE_BEGINS:
        return body
    return parse_json(body, limits=server_state_of(request).limits)


def release_body(request: Request) -> None:
    """Give the body's share of the budget back early, once nothing refers to its bytes any more."""
    request_state_of(request.scope).release()


async def stream_body(request: Request, *, limit: int) -> AsyncGenerator[bytes, None]:
    """The body in pieces, unpacked, under the same checks as `read_body`."""
    server_state = server_state_of(request)
    declared = _declared_length(request)
    if declared is not None and declared > limit:
        raise _too_large(limit)
    encoding = content_encoding(request)
    unpacker = _Unpacker(encoding) if encoding in ENCODINGS else None
    expected = None if unpacker else declared
    share = request_state_of(request.scope).expect(server_state.budget, expected)
    unpacked = 0
    async for message in _messages(request, limit):
        for chunk in unpacker.pieces(message) if unpacker else (message,):
            unpacked += len(chunk)
            if unpacked > limit:
                raise _too_large(limit)
            await _take(server_state.budget, share, len(chunk), server_state.limits)
            yield chunk
            if unpacker:
                # A little that unpacks to a lot must not keep everybody waiting.
                await asyncio.sleep(0)
    if unpacker:
        unpacker.finish()
    server_state.budget.finish(share)


class _Unpacker:
    """A compressed body, unpacked in pieces of a bounded size."""

    def __init__(self, encoding: str) -> None:
        self._may_be_raw = encoding == "deflate"
        # gzip's head or zlib's, whichever is there.
        self._stream = zlib.decompressobj(zlib.MAX_WBITS | 32)
        self._began = False

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """What the next bytes of the body unpack to; raises BadRequest (`invalid_encoding`)."""
        if not self._began and self._may_be_raw and data[0] & 0x0F != zlib.DEFLATED:
            self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        self._began = True
        while data:
            try:
                piece = self._stream.decompress(data, _UNPACKED_BYTES)
            except zlib.error:
                raise _bad_encoding("is damaged") from None
            if self._stream.unused_data or (self._stream.eof and not piece):
                raise _bad_encoding("goes on after its end")
            data = self._stream.unconsumed_tail
            if piece:
                yield piece

    def finish(self) -> None:
        """Refuse a body that ended early; raises BadRequest."""
        if not self._stream.eof:
            raise _bad_encoding("is cut short")


def _bad_encoding(why: str) -> BadRequest:
    return BadRequest(f"The compressed body (Content-Encoding) {why}.", code="invalid_encoding")


async def _messages(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    limits = server_state_of(request).limits
    started, received = asyncio.get_running_loop().time(), 0
    while True:
        message = await _receive(request, _deadline(started, received, limits))
        chunk: bytes = message.get("body", b"")
        received += len(chunk)
        if received > limit:
            raise _too_large(limit)
        if chunk:
            yield chunk
        if not message.get("more_body", False):
            return


def _too_large(limit: int) -> TooLarge:
    return TooLarge(
        f"The request body is larger than the {limit:,} bytes that are accepted here "
        "(max_body_bytes, max_image_bytes)."
    )


def _declared_length(request: Request) -> int | None:
    text = request.headers.get("content-length")
    return int(text) if text is not None else None


def _deadline(started: float, received: int, limits: HttpLimits) -> float:
    return started + limits.body_deadline_s + received / limits.body_bytes_per_s


async def _take(budget: ByteBudget, share: BodyShare, amount: int, limits: HttpLimits) -> None:
    try:
        async with asyncio.timeout(limits.body_deadline_s):
            await budget.take(share, amount)
    except TimeoutError:
        raise Busy("Too many large requests at once; try again later.", code="busy", retry_after=5) from None


async def _receive(request: Request, deadline: float) -> MutableMapping[str, Any]:
    try:
        async with asyncio.timeout_at(deadline):
            message = await request.receive()
    except TimeoutError:
        raise RequestTimeout("The request body did not arrive in time.") from None
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message


class DrainedBody:
    """Both directions of one request: before its answer ends, a bounded rest of an unread body is read.

    So the client sees the answer and not a reset connection; the connection is closed after it.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, limits: HttpLimits) -> None:
        self._done = not _has_body(Headers(scope=scope))
        self._receive = receive
        self._send = send
        self._limits = limits
        self._request_state = request_state_of(scope)

    async def receive(self) -> Message:
        """The next message from the client."""
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._done = True
        return message

    async def send(self, message: Message) -> None:
        """Pass on a message of the answer; the last one waits for the body."""
        if self._done:
            await self._send(message)
        elif message["type"] == "http.response.start":
            await self._send({**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]})
        elif message.get("more_body", False):
            await self._send(message)
        else:
            # All of the answer is out; only its formal end, upon which the server closes, waits.
            await self._send({**message, "more_body": True})
            await self._drain()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _drain(self) -> None:
        self._request_state.release()
        limits, received = self._limits, 0
        started = asyncio.get_running_loop().time()
        try:
            while not self._done and received < limits.linger_bytes:
                until = started + limits.linger_s + received / limits.linger_bytes_per_s
                async with asyncio.timeout_at(until):
                    received += len((await self.receive()).get("body", b""))
            if not self._done:
                # Reading no more, the client stops sending; it has this long to notice the answer.
                await asyncio.sleep(limits.linger_s)
        except TimeoutError:
            pass


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


async def until_disconnect(request: Request, work: Awaitable[T]) -> T:
    """The result of `work`, which is cancelled when the client hangs up (then raises ClientDisconnect).

    The body must have been read. Cancelling this call cancels the work too; no task is left behind.
    """
    watcher = asyncio.ensure_future(_hang_up(request))
    scope = asyncio.timeout(None)
    working = True

    def leave(_: asyncio.Future[None]) -> None:
        # The client may hang up in the very turn of the loop in which the work ends.
        if working:
            scope.reschedule(0)

    try:
        async with scope:
            watcher.add_done_callback(leave)
            try:
                return await work
            finally:
                working = False
    except TimeoutError:
        if scope.expired():
            raise ClientDisconnect from None
        raise
    finally:
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)


async def _hang_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
