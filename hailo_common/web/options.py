"""OPTIONS on every address: 204 with the methods there are."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send


class Options:
    """ASGI middleware: answers OPTIONS from the table of routes; an unknown address goes on to its 404."""

    def __init__(self, app: ASGIApp, *, routes: Sequence[BaseRoute]) -> None:
        self.app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it."""
        methods = self._methods(scope) if scope["type"] == "http" and scope["method"] == "OPTIONS" else set()
        if not methods:
            await self.app(scope, receive, send)
            return
        more = {"HEAD"} if "GET" in methods else set()
        allow = ", ".join(sorted({*methods, *more, "OPTIONS"}))
        await Response(status_code=204, headers={"allow": allow})(scope, receive, send)

    def _methods(self, scope: Scope) -> set[str]:
        found: set[str] = set()
        for route in self._routes:
            if route.matches({**scope, "method": "OPTIONS"})[0] is not Match.NONE:
                found |= getattr(route, "methods", None) or set()
        return found
