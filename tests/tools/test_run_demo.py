"""`make run`."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.hailo_florence.api.running import free_port
from tools import run_demo
from tools.run_demo import main

TREE = Path(__file__).parents[2]


def test_a_taken_port_starts_nothing_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        assert main(["--vision-port", str(free_port()), "--florence-port", str(taken)]) == 1
    told = capsys.readouterr()
    assert f"Port {taken} of 127.0.0.1 is taken" in told.err
    assert "make run PORT=" in told.err
    assert "Nothing was started." in told.err
    assert told.out == ""


@pytest.mark.parametrize(
    ("host", "link", "is_open"),
    [
        ("127.0.0.1", "http://127.0.0.1:", False),
        ("0.0.0.0", "http://127.0.0.1:", True),
        ("::", "http://[::1]:", True),
    ],
)
def test_links_lead_somewhere_and_what_is_open_is_told(
    host: str, link: str, is_open: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run_demo, "_serve", lambda *_: 0)
    ports = ["--vision-port", str(free_port()), "--florence-port", str(free_port())]
    assert main(["--host", host, *ports]) == 0
    told = capsys.readouterr()
    assert link in told.out
    assert ("no API key is set" in told.err) == is_open
    assert "//0.0.0.0" not in told.out


@pytest.mark.parametrize("after_s", [0.3, 1.2, 2.5])
def test_ctrl_c_ends_both_without_an_alarm(after_s: float) -> None:
    ports = ["--vision-port", str(free_port()), "--florence-port", str(free_port())]
    process = subprocess.Popen(
        [sys.executable, "-m", "tools.run_demo", *ports],
        cwd=TREE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout
    said = ""
    while "API pages" not in said:
        said += process.stdout.readline()
        assert process.poll() is None
    assert "They know: " in said
    time.sleep(after_s)
    # As a terminal does: to the whole group in the foreground.
    os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 0
    for word in ("Traceback", "KeyboardInterrupt", "WARNING", "ERROR"):
        assert word not in told
