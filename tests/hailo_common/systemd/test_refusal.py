"""A service whose configuration cannot be used tells those who wait at its port."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hailo_common.systemd import refusal

REASON = (
    "hailo-ctl: /etc/hailo/hailo-vision.yaml:2: prot: unknown key; did you mean \"port\"? value 'secret'\n"
)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def asked(listener: socket.socket, body: bytes = b"") -> tuple[int, str]:
    """Status and body of an answer."""
    client = http.client.HTTPConnection("127.0.0.1", listener.getsockname()[1], timeout=20)
    client.request("POST", "/v1/chat/completions", body)
    response = client.getresponse()
    return response.status, response.read().decode()


def test_nobody_waits_no_time_is_lost(listener: socket.socket) -> None:
    listener.setblocking(False)
    began = time.monotonic()
    assert refusal.serve([listener], b"") == 0
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("size", [0, 500_000])
def test_who_waits_gets_the_line_and_the_key_and_no_value(
    listener: socket.socket, tmp_path: Path, size: int
) -> None:
    """As hailo-serve runs it: in a process of its own, with systemd's descriptor."""
    reason = tmp_path / "refused"
    reason.write_text(f"78\n{REASON}")
    answers: list[tuple[int, str]] = []
    clients = [
        threading.Thread(target=lambda: answers.append(asked(listener, b"x" * size))) for _ in range(20)
    ]
    for client in clients:
        client.start()
    time.sleep(0.3)
    program = (
        "import os, sys; from pathlib import Path; from hailo_common.systemd import refusal;"
        f"os.dup2({listener.fileno()}, 3); refusal.LINGER_S = 0.5;"
        f"refusal.main('hailo-vision', '1', Path({str(reason)!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        pass_fds=[listener.fileno()],
        timeout=30,
        check=True,
        stderr=subprocess.PIPE,
    )
    for client in clients:
        client.join(10)
    assert done.stderr == b""
    assert [status for status, _ in answers] == [503] * 20
    error = json.loads(answers[0][1])["error"]
    assert "/etc/hailo/hailo-vision.yaml:2: prot is not valid" in error["message"]
    assert "secret" not in answers[0][1]


def test_who_sends_nothing_holds_nobody_up(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusal, "LINGER_S", 0.5)
    monkeypatch.setattr(refusal, "_HEAD_S", 0.3)
    listener.setblocking(False)
    with socket.create_connection(listener.getsockname()):
        began = time.monotonic()
        assert refusal.serve([listener], refusal.answer("hailo-florence", "no place")) == 1
        assert time.monotonic() - began < 5


def test_the_form_is_the_services() -> None:
    body = json.loads(refusal.answer("hailo-florence", REASON).partition(b"\r\n\r\n")[2])
    assert (body["error"], body["status"]) == ("configuration_invalid", 503)
    assert refusal.place_of("something else: no line") == ""
