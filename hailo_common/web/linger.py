"""Answering before the body was read, so that the client sees the answer and not a reset connection."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hailo_common.web.door import FrontDoor
from hailo_common.web.exchange import Exchange, exchange_of
from hailo_common.web.settings import WebSettings


class Linger:
    """ASGI middleware: reads a bounded rest of an unread body before it ends the answer, then closes."""

    def __init__(self, app: ASGIApp, *, door: FrontDoor) -> None:
        self.app = app
        self._settings = door.settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, watching how far its body was read."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = _Body(receive, send, self._settings, exchange_of(scope))
        body.done = not _has_body(Headers(scope=scope))
        await self.app(scope, body.receive, body.send)


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


class _Body:
    def __init__(self, receive: Receive, send: Send, settings: WebSettings, exchange: Exchange) -> None:
        self.done = False
        self._receive = receive
        self._send = send
        self._settings = settings
        self._exchange = exchange

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self.done = True
        return message

    async def send(self, message: Message) -> None:
        if self.done:
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
        self._exchange.release()
        left = self._settings.linger_bytes
        try:
            async with asyncio.timeout(self._settings.linger_s):
                while not self.done and left > 0:
                    left -= len((await self.receive()).get("body", b""))
                if not self.done:
                    # Reading no more, the client stops sending; it has this long to notice the answer.
                    await asyncio.sleep(self._settings.linger_s)
        except TimeoutError:
            pass
