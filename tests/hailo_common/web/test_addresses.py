"""Addresses that mean another one, and what is said about those that mean none."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from starlette.routing import Match

from hailo_common.web.addresses import ExactRoutes, nearest, plain_path, shown_path
from tests.hailo_common.web.client import StubServer, talk

ALIASES = {"/chat": "/v1/chat", "/v1/v1/": "/v1/", "/models/": "/v1/models/"}


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/", "/"),
        ("//", "/"),
        ("/ping/", "/ping"),
        ("//v1///chat//", "/v1/chat"),
        ("/chat", "/v1/chat"),
        ("/chat/", "/v1/chat"),
        ("/chats", "/chats"),
        ("/v1/v1/chat", "/v1/chat"),
        ("/models/a/b", "/v1/models/a/b"),
        ("/v1/..//x", "/v1/../x"),
    ],
)
def test_paths_with_one_plain_meaning(path: str, meant: str) -> None:
    assert plain_path(path, ALIASES) == meant


@given(st.text())
def test_what_is_shown_of_a_path_is_harmless_and_short(path: str) -> None:
    shown = shown_path(path)
    assert shown.isascii()
    assert shown.isprintable()
    assert len(shown) <= 103
    assert not set(shown) & set("<>\\\"'&\n\r ")


def test_the_nearest_address_is_named_or_none() -> None:
    known = ["/v1/chat/completions", "/v1/models", "/health"]
    assert nearest("/v1/chat/completion", known) == "/v1/chat/completions"
    assert nearest("/v1/model", known) == "/v1/models"
    assert nearest("/v1/chat", ["/api/chat", "/v1/chat/{name}", *known]) == "/v1/chat/completions"
    assert nearest("/wp-login.php", known) is None
    assert nearest("/" + "a" * 100_000, known) is None


def get(stub: StubServer, path: str, method: str = "GET") -> bytes:
    return talk(stub.port, f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()).body


def test_an_unknown_address_is_told_and_logged_with_the_nearest(stub: StubServer) -> None:
    told = json.loads(get(stub, "/nubmers"))["error"]
    assert told["message"] == "There is nothing at /nubmers; did you mean /numbers?"
    assert '"path": "/nubmers"' in stub.log()
    assert "is off (docs: true" in json.loads(get(stub, "/docs/x"))["error"]["message"]
    told = json.loads(get(stub, "/json"))["error"]
    assert told["message"] == "/json takes POST, not this method."


def test_slashes_are_forgiven(stub: StubServer) -> None:
    for path in ("/ping/", "//ping", "/ping//"):
        assert json.loads(get(stub, path)) == {}


def test_a_route_without_a_parameter_is_found_at_once_and_answers_as_ever() -> None:
    app = FastAPI(redirect_slashes=False)
    app.router.routes.insert(0, ExactRoutes(app.router.routes))
    for number in range(50):
        app.add_api_route(f"/other/{number}", lambda: "other", methods=["GET"])
    app.add_api_route("/models/{name}", lambda name: name, methods=["GET"])
    app.add_api_route("/models", lambda: "listed", methods=["GET"])
    app.add_api_route("/models", lambda: "made", methods=["POST"])

    def seen(method: str, path: str) -> tuple[int, str]:
        scope = {"type": "http", "path": path, "method": method, "root_path": "", "headers": []}
        looked = 0
        for looked, route in enumerate(app.router.routes, 1):
            match, child = route.matches(scope)
            if match is Match.FULL:
                return looked, child["route"].path
        return looked, "-"

    assert seen("GET", "/models") == seen("POST", "/models") == (1, "/models")
    assert seen("GET", "/models/a")[1] == "/models/{name}"
    assert seen("PUT", "/models")[1] == "-"

    async def ask() -> list[tuple[int, str]]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            asked = (
                ("GET", "/models"),
                ("POST", "/models"),
                ("GET", "/models/a"),
                ("PUT", "/models"),
                ("GET", "/x"),
            )
            return [(each.status_code, each.text) for each in [await client.request(*one) for one in asked]]

    replies = asyncio.run(ask())
    assert replies[:3] == [(200, '"listed"'), (200, '"made"'), (200, '"a"')]
    assert [status for status, _ in replies[3:]] == [405, 404]
