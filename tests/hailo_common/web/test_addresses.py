"""Addresses that mean another one, and what is said about those that mean none."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hailo_common.web.addresses import nearest, plain_path, shown_path
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
