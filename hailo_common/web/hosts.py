"""Which names this machine answers to, and which pages may post to it (DNS rebinding, cross-site forms)."""

from __future__ import annotations

import ipaddress
import re
import socket
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from hailo_common.errors import BadRequest, ServiceError
from hailo_common.web.door import FrontDoor
from hailo_common.web.errors import CrossOrigin, Misdirected, render
from hailo_common.web.exchange import exchange_of

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


class HostGuard:
    """ASGI middleware: refuses foreign Host names, and posts from pages of other sites."""

    def __init__(self, app: ASGIApp, *, door: FrontDoor) -> None:
        self.app = app
        self._door = door
        self._names = own_names(door.settings.hosts)
        self._origins = frozenset(door.settings.origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 400, 403 or 421."""
        error = self._check(Headers(scope=scope), scope["method"]) if scope["type"] == "http" else None
        if error is None:
            await self.app(scope, receive, send)
            return
        exchange_of(scope).code = error.code
        await render(self._door.shape, error)(scope, receive, send)

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
