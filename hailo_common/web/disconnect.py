"""Ending work that nobody waits for any more."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

T = TypeVar("T")


async def until_disconnect(request: Request, work: Coroutine[Any, Any, T]) -> T:
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
