"""Reading a request's body: checked before, counted while it arrives, with a deadline and a shared budget.

Refuse what can be refused without the body (rights, queue) before calling these.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

from starlette.requests import ClientDisconnect, Request

from hailo_common.errors import Busy, TooLarge
from hailo_common.web.door import front_door
from hailo_common.web.errors import RequestTimeout
from hailo_common.web.exchange import exchange_of
from hailo_common.web.media import JSON, require_media
from hailo_common.web.settings import WebSettings
from hailo_common.web.strictjson import parse_json


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
    return parse_json(await read_body(request, limit=limit), settings=front_door(request).settings)


def release_body(request: Request) -> None:
    """Give the body's share of the budget back early, once nothing refers to its bytes any more."""
    exchange_of(request.scope).release()


async def stream_body(request: Request, *, limit: int) -> AsyncIterator[bytes]:
    """The body in pieces, under the same checks as `read_body`."""
    door = front_door(request)
    declared = _declared_length(request)
    if declared is not None and declared > limit:
        raise _too_large()
    started = asyncio.get_running_loop().time()
    await _reserve(request, limit if declared is None else declared, started + door.settings.body_deadline_s)
    received = 0
    while True:
        message = await _receive(request, _deadline(started, received, door.settings))
        chunk: bytes = message.get("body", b"")
        received += len(chunk)
        if received > limit:
            raise _too_large()
        if chunk:
            yield chunk
        if not message.get("more_body", False):
            return


def _too_large() -> TooLarge:
    return TooLarge("The request body is larger than this service accepts.")


def _declared_length(request: Request) -> int | None:
    text = request.headers.get("content-length")
    return int(text) if text is not None else None


def _deadline(started: float, received: int, settings: WebSettings) -> float:
    return started + settings.body_deadline_s + received / settings.body_bytes_per_s


async def _reserve(request: Request, amount: int, deadline: float) -> None:
    try:
        async with asyncio.timeout_at(deadline):
            await exchange_of(request.scope).hold(front_door(request).budget, amount)
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
