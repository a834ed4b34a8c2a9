"""Addresses that mean another one, and what is said about those that mean none."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence

from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

_SLASHES = re.compile(r"/{2,}")
_UNSAFE = re.compile(r"[^A-Za-z0-9/_.~:{}-]")
_MOST_SHOWN = 100
_LEAST_LIKENESS = 0.6


class ExactRoutes(BaseRoute):
    """Stands before all routes and finds those without a parameter by one look, however many there are.

    Else a request would pass the routes of every dialect to get to its own. The table is made at the first
    request, when all routes are there.
    """

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._routes = routes
        self._known: dict[tuple[str, str], APIRoute] = {}

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As the route that is meant; none for what others must look at."""
        route = self._find(scope)
        if route is None:
            return Match.NONE, {}
        match, child_scope = route.matches(scope)
        return match, {**child_scope, "route": route}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Leave it to the route that is meant."""
        route = self._find(scope)
        assert route is not None, "it matched"
        await route.handle(scope, receive, send)

    def _find(self, scope: Scope) -> APIRoute | None:
        if not self._known:
            for route in self._routes:
                if isinstance(route, APIRoute) and "{" not in route.path:
                    for method in route.methods or ():
                        self._known.setdefault((method, route.path), route)
        return self._known.get((scope.get("method", ""), scope.get("path", "")))


def plain_path(path: str, aliases: Mapping[str, str]) -> str:
    """The path without doubled and trailing slashes, and by its main name.

    `aliases` maps whole paths, and beginnings where they end with a slash.
    """
    if "//" in path:
        path = _SLASHES.sub("/", path)
    if path.endswith("/") and path != "/":
        path = path[:-1]
    if path in aliases:
        return aliases[path]
    for start, meant in aliases.items():
        if start.endswith("/") and path.startswith(start):
            return meant + path[len(start) :]
    return path


def shown_path(path: str) -> str:
    """A path as it may be repeated, in an answer and in the log: 100 harmless characters of it."""
    return _UNSAFE.sub("?", path[:_MOST_SHOWN]) + ("..." if len(path) > _MOST_SHOWN else "")


def nearest(path: str, known: Iterable[str]) -> str | None:
    """The known address that a path is the beginning of, else the one it looks most like, if any."""
    known = list(known)
    longer = sorted((each for each in known if each.startswith(f"{path}/") and "{" not in each), key=len)
    if longer:
        return longer[0]
    found = difflib.get_close_matches(path[:_MOST_SHOWN], known, 1, _LEAST_LIKENESS)
    return found[0] if found else None
