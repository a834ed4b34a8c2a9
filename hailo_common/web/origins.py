"""Which names this machine answers to, and which pages may use it (DNS rebinding, cross-site forms, CORS)."""

from __future__ import annotations

import ipaddress
import re
import socket
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from hailo_common.errors import BadRequest, ServiceError
from hailo_common.web.errors import CrossOrigin, Misdirected

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


class SiteCheck:
    """Refuses requests for names of other machines, and posts from pages of other sites."""

    def __init__(self, hosts: tuple[str, ...], origins: tuple[str, ...]) -> None:
        self._names = own_names(hosts)
        self._origins = frozenset(origins)

    def check(self, scope: Scope) -> ServiceError | None:
        """Why a request is refused: BadRequest, Misdirected or CrossOrigin; None if it is not."""
        headers = Headers(scope=scope)
        header = headers.get("host")
        name = None if header is None else host_name(header)
        # Only HTTP/1.0 comes without Host; the HTTP parser sees to that.
        if header is not None and name is None:
            return BadRequest("The Host header is malformed.", code="bad_host")
        if name is not None and not self._is_own(name) and not is_address(name):
            return Misdirected(
                "This machine does not answer to that host name; allowed_hosts names others it answers to."
            )
        if scope["method"] not in _SAFE_METHODS and not self._may_post(headers, name):
            return CrossOrigin(
                "Pages of other sites may not use this service; cors_origins names those that may."
            )
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
_MAX_HEADERS = 40
_METHODS = ("GET", "HEAD", "POST", "OPTIONS")
_USUAL_HEADERS = "Authorization, Content-Type, X-Api-Key"
_EXPOSED_HEADERS = (
    *("X-Request-ID", "X-Context-Dropped-Messages", "X-Tools-Left-Out"),
    *("Retry-After", "X-Should-Retry"),
)


class Cors(CORSMiddleware):
    """starlette's middleware for the configured pages only: a request of any other is passed on as it is."""

    def __init__(self, app: ASGIApp, origins: tuple[str, ...]) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=_METHODS,
            allow_headers=("*",),
            expose_headers=_EXPOSED_HEADERS,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer its preflight."""
        origin = Headers(scope=scope).get("origin")
        if origin is None or not self.is_allowed_origin(origin):
            await self.app(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def preflight_response(self, request_headers: Headers) -> Response:
        """204, whatever was asked for: what the headers do not allow, the browser does not do."""
        answer = super().preflight_response(request_headers)
        answer.status_code, answer.body = 204, b""
        del answer.headers["content-length"], answer.headers["content-type"]
        answer.headers["access-control-allow-headers"] = _allowed_headers(request_headers)
        # starlette before 0.51 does not know this one.
        if request_headers.get("access-control-request-private-network") == "true":
            answer.headers["access-control-allow-private-network"] = "true"
        return answer


def _allowed_headers(request_headers: Headers) -> str:
    # Clients send x-stainless-* headers of many names, and a wildcard does not cover Authorization.
    asked = [name.strip() for name in request_headers.get("access-control-request-headers", "").split(",")]
    return ", ".join(name for name in asked[:_MAX_HEADERS] if _TOKEN.fullmatch(name)) or _USUAL_HEADERS
