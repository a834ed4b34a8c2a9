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
