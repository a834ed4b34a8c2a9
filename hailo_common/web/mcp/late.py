"""An answer that takes long: a stream that tells of progress until it is there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Any

from hailo_common.web.mcp.errors import json_rpc_format
from hailo_common.web.mcp.messages import Message, enveloped
from hailo_common.web.streams.event_stream import EventStream, StreamForm, event

SSE = "text/event-stream"
_EVENT = "message"
_SIGN = b": working\n\n"


def late_answer(
    message: Message, work: asyncio.Task[dict[str, Any]], *, began: float, every_s: float
) -> EventStream:
    """A stream of what `work` gives, and every `every_s` seconds until then a sign of life.

    That is a notification of progress where the client wants such, else a comment. A client that hangs up
    cancels the work.
    """
    holding = AsyncExitStack()
    holding.push_async_callback(give_up, work)
    # Its signs of life are the source's own: no ping comes between.
    form = StreamForm(
        SSE, b"", lambda error: event({**json_rpc_format(500, error), "id": message.id}, _EVENT)
    )
    return EventStream(_pieces(message, work, began, every_s), holding, form, ping_s=every_s)


async def give_up(work: asyncio.Task[dict[str, Any]]) -> None:
    """Cancel the work, if it is not done, and wait for its end."""
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


async def _pieces(
    message: Message, work: asyncio.Task[dict[str, Any]], began: float, every_s: float
) -> AsyncGenerator[bytes, None]:
    while not work.done():
        yield _sign(message, began)
        await asyncio.wait((work,), timeout=every_s)
    yield event(enveloped(message, work.result()), _EVENT)


def _sign(message: Message, began: float) -> bytes:
    token = message.progress_token
    if token is None:
        return _SIGN
    params = {"progressToken": token, "progress": round(time.monotonic() - began, 1)}
    return event({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}, _EVENT)
