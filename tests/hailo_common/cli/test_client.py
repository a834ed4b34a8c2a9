"""Threat H1 of tests/threats.md: to whom hailo-ctl gives a key, and what an answer can do to it."""

from __future__ import annotations

import http.server
import json
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hailo_common.cli import client
from hailo_common.cli.client import Client, NoAnswerError, listeners
from hailo_common.text import printable
from hailo_florence.config import FlorenceSettings
from tests.hailo_common.cli.conftest import Machine

KEY = "first-secret-key"


class Listener(http.server.BaseHTTPRequestHandler):
    """Keeps what it is told, and answers what it is set to."""

    told: list[str | None]
    answer: bytes
    kind: str

    def do_GET(self) -> None:
        """Note the key."""
        type(self).told.append(self.headers.get("Authorization"))
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("Content-Type", self.kind)
        self.end_headers()
        self.wfile.write(self.answer)

    do_POST = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    """Somebody's server."""
    Listener.told, Listener.answer, Listener.kind = [], b"{}", "application/json"
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def asking(port: int) -> Client:
    """A client that has a key."""
    return Client(FlorenceSettings(port=port, api_keys=(KEY,)))


def test_a_key_goes_where_one_is_needed_only(port: int) -> None:
    asking(port).get("/health")
    asking(port).post("/v1/caption", {}, 5)
    assert Listener.told == [None, f"Bearer {KEY}"]


def test_a_key_is_not_sent_to_another_users_program(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever takes the port while the service is down would get the key, from root's doctor."""
    assert listeners(port) == {os.getuid()}
    monkeypatch.setattr(client, "trusted_users", lambda: {4242})
    with pytest.raises(NoAnswerError, match="the key is not sent"):
        asking(port).post("/v1/caption", {}, 5)
    assert Listener.told == []


@pytest.mark.parametrize(
    ("last", "whole"),
    [(b"data: [DONE]\n\n", True), (b'data: {"error": {"message": "no"}}\n\n', True), (b"", False)],
)
def test_a_stream_that_stops_before_its_end_is_no_answer(port: int, last: bytes, whole: bool) -> None:
    Listener.kind, Listener.answer = "text/event-stream", b': ping\n\ndata: {"n": 1}\n\n' + last
    events = asking(port).events("/v1/chat/completions", {}, 5)
    assert next(events) == {"n": 1}
    if whole:
        list(events)
    else:
        with pytest.raises(NoAnswerError, match="broken off"):
            list(events)


@pytest.mark.parametrize(
    "answer",
    [
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b"9" * 10_000,
        b"\xff",
        b"[]",
        b'{"a": "' + b"x" * 2_000_000 + b'"}',
    ],
    ids=["deep list", "deep object", "digits", "latin", "list", "long"],
)
def test_an_odd_answer_is_no_traceback(port: int, answer: bytes) -> None:
    Listener.answer = answer
    with pytest.raises(NoAnswerError, match="another program answers there"):
        asking(port).get("/health")


def test_nothing_of_an_answer_reaches_the_terminal_as_a_command(machine: Machine, port: int) -> None:
    Listener.answer = json.dumps(
        {"status": "\x1b]0;owned\x07", "reason": "a\nb\u202e", "model": "\x9b2J"}
    ).encode()
    machine.put("etc/hailo/hailo-florence.yaml", f"port: {port}\nmodel: shapes\n")
    for words in (
        ("doctor", "hailo-florence", "--live"),
        ("status",),
        ("doctor", "hailo-florence", "--json", "--live"),
    ):
        done = machine.ctl(*words)
        assert not {"\x1b", "\x07", "\u202e", "\x9b"} & set(done.out + done.err)
    json.loads(done.out)


@pytest.mark.parametrize("char", ["\x1b", "\x07", "\x9b", "\u202e", "\u2028", "\U000e0001", "\x7f", "\r"])
def test_what_is_escaped_stays_json(char: str) -> None:
    shown = printable(json.dumps(f"a{char}b", ensure_ascii=False))
    assert char not in shown
    assert json.loads(shown) == f"a{char}b"


def test_a_key_lands_in_a_file_that_not_everybody_reads(machine: Machine) -> None:
    path = machine.put("etc/hailo/hailo-florence.yaml", "port: 4711\n")
    path.chmod(0o644)
    assert machine.ctl("config", "set", "hailo-florence", "port=4712").status == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert machine.ctl("config", "set", "hailo-florence", f"api_keys={KEY}").status == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("how", ["in the settings", "in a file of keys"])
def test_doctor_sees_keys_that_everybody_may_read(machine: Machine, tmp_path: Path, how: str) -> None:
    keys = machine.put("keys", f"{KEY}\n")
    text = f"api_keys: [{KEY}]\n" if how == "in the settings" else f"gateway_key_file: {keys}\n"
    path = machine.put("etc/hailo/hailo-florence.yaml", text)
    for each in (path, keys):
        each.chmod(0o644)
    told = machine.ctl("doctor", "hailo-florence", "--no-api").out
    assert "everybody on this machine may read the keys in" in told
    for each in (path, keys):
        each.chmod(0o640)
    assert "everybody on this machine" not in machine.ctl("doctor", "hailo-florence", "--no-api").out


@pytest.mark.parametrize(
    "words",
    [
        ("config", "set", "hailo-florence", "port=4712", "--quiet"),
        ("config", "set", "--quiet", "hailo-florence", "port=4712"),
        ("config", "set", "hailo-florence", "--quiet", "port=4712"),
        ("config", "set", "hailo-florence", "--quiet", "port", "4712"),
    ],
    ids=" ".join,
)
def test_options_may_stand_anywhere(machine: Machine, words: tuple[str, ...]) -> None:
    """Python 3.11's parser took some of these for a wrong command line."""
    done = machine.ctl(*words)
    assert (done.status, done.out, done.err) == (0, "", "")
    assert machine.ctl("config", "get", "hailo-florence", "port").out == "4712\n"
