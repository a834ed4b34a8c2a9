"""Pages of other origins: those that are configured may use the service from a browser, no others."""

from __future__ import annotations

import re

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hailo_common.web.door import FrontDoor

_TOKEN = re.compile(r"[A-Za-z0-9-]{1,64}")
_MOST_HEADERS = 40
_METHODS = "GET, HEAD, POST, OPTIONS"
_USUAL = "Authorization, Content-Type, X-Api-Key"
_EXPOSED = "X-Request-ID, X-Context-Dropped-Messages, Retry-After, X-Should-Retry"
_REMEMBER_S = "600"


class Cors:
    """ASGI middleware: answers preflights, and marks answers to the origins that are allowed to read them."""

    def __init__(self, app: ASGIApp, *, door: FrontDoor) -> None:
        self.app = app
        self._origins = frozenset(door.settings.origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer its preflight."""
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        origin = headers.get("origin")
        if origin is None or not self._origins & {origin, "*"}:
            await self.app(scope, receive, send)
            return
        allowed = "*" if "*" in self._origins else origin
        if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            await Response(status_code=204, headers=_preflight(headers, allowed))(scope, receive, send)
            return
        await self.app(scope, receive, _marking(send, allowed))


def _preflight(headers: Headers, allowed: str) -> dict[str, str]:
    asked = [name.strip() for name in headers.get("access-control-request-headers", "").split(",")]
    names = [name for name in asked[:_MOST_HEADERS] if _TOKEN.fullmatch(name)]
    answer = {
        "access-control-allow-origin": allowed,
        "access-control-allow-methods": _METHODS,
        # Clients send x-stainless-* headers of many names, and a wildcard does not cover Authorization.
        "access-control-allow-headers": ", ".join(names) or _USUAL,
        "access-control-max-age": _REMEMBER_S,
        "vary": "Origin, Access-Control-Request-Headers",
    }
    if headers.get("access-control-request-private-network") == "true":
        answer["access-control-allow-private-network"] = "true"
    return answer


def _marking(send: Send, allowed: str) -> Send:
    marks = [
        (b"access-control-allow-origin", allowed.encode("latin-1")),
        (b"access-control-expose-headers", _EXPOSED.encode()),
        (b"vary", b"Origin"),
    ]

    async def marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *marks]}
        await send(message)

    return marked
