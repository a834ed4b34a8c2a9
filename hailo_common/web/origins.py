"""Which names this machine answers to, and which pages may post to it (DNS rebinding, cross-site forms).

Pages of other origins: those that are configured may use the service from a browser, no others.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hailo_common.errors import BadRequest, ServiceError
from hailo_common.web.errors import CrossOrigin, Misdirected, render
from hailo_common.web.state import ServerState, request_state_of

_HOST = re.compile(r"(?P<name>[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


def own_names(extra: tuple[str, ...] = ()) -> frozenset[str]:
    """The names a request may be addressed to, in lower case; `*` among them accepts every name."""
    machine = socket.gethostname().lower()
    short = machine.partition(".")[0]
    names = {"localhost", machine, short, f"{short}.local", *(name.lower().rstrip(".") for name in extra)}
    return frozenset(names - {"", ".local"})


def host_name(header: str) -> str | None:
    """The name in a Host header, in lower case without port; None when it is malformed."""
    match = _HOST.fullmatch(header)
    return match["name"].strip("[]").lower().rstrip(".") if match else None


def is_address(name: str) -> bool:
    """Whether a name is an IP literal, which no DNS server can point elsewhere."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class CheckHost:
    """ASGI middleware: refuses foreign Host names, and posts from pages of other sites."""

    def __init__(self, app: ASGIApp, *, server_state: ServerState) -> None:
        self.app = app
        self._server_state = server_state
        self._names = own_names(server_state.settings.hosts)
        self._origins = frozenset(server_state.settings.origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 400, 403 or 421."""
        error = self._check(Headers(scope=scope), scope["method"]) if scope["type"] == "http" else None
        if error is None:
            await self.app(scope, receive, send)
            return
        request_state_of(scope).code = error.code
        await render(self._server_state.shape, error)(scope, receive, send)

    def _check(self, headers: Headers, method: str) -> ServiceError | None:
        header = headers.get("host")
        name = None if header is None else host_name(header)
        # Only HTTP/1.0 comes without Host; the HTTP parser sees to that.
        if header is not None and name is None:
            return BadRequest("The Host header is malformed.", code="bad_host")
        if name is not None and not self._is_own(name) and not is_address(name):
            return Misdirected("This machine does not answer to that host name.")
        if method not in _SAFE_METHODS and not self._may_post(headers, name):
            return CrossOrigin("Pages of other sites may not use this service.")
        return None

    def _is_own(self, name: str) -> bool:
        return name in self._names or "*" in self._names

    def _may_post(self, headers: Headers, name: str | None) -> bool:
        """A form is the one kind of body that a page may send to another site without asking first."""
        origin = headers.get("origin")
        if origin is not None and ({origin, "*"} & self._origins):
            return True
        if origin is None:
            return headers.get("sec-fetch-site") != "cross-site"
        try:
            source = urlsplit(origin).hostname
        except ValueError:
            return False
        return source is not None and (source == name or self._is_own(source))


_TOKEN = re.compile(r"[A-Za-z0-9-]{1,64}")
_MOST_HEADERS = 40
_METHODS = "GET, HEAD, POST, OPTIONS"
_USUAL = "Authorization, Content-Type, X-Api-Key"
_EXPOSED = "X-Request-ID, X-Context-Dropped-Messages, Retry-After, X-Should-Retry"
_REMEMBER_S = "600"


class Cors:
    """ASGI middleware: answers preflights, and marks answers to the origins that are allowed to read them."""

    def __init__(self, app: ASGIApp, *, server_state: ServerState) -> None:
        self.app = app
        self._origins = frozenset(server_state.settings.origins)

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
