"""The life of a server in a real process: ready, watched, stopped."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hailo_common.systemd.conftest import TREE


class Service:
    """serve_app in a subprocess, with a service manager that listens to it."""

    def __init__(self, folder: Path, watchdog_s: float = 0.0, **options: object) -> None:
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(os.fspath(folder / "notify"))
        environ = {**os.environ, "PYTHONPATH": str(TREE), "NOTIFY_SOCKET": os.fspath(folder / "notify")}
        environ["WATCHDOG_USEC"] = str(int(watchdog_s * 1e6))
        command = [sys.executable, "-m", "tests.hailo_common.systemd.serve_app", json.dumps(options)]
        self._out, self._err = folder / "out", folder / "err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(command, env=environ, cwd=TREE, stdout=out, stderr=err)
        while not self._out.read_text().endswith("\n"):
            assert self.process.poll() is None, self._err.read_text()
            time.sleep(0.02)
        self.port = int(self._out.read_text().split()[0])
        self.messages: list[str] = []

    def turns(self) -> list[str]:
        """The turns of the service's life so far."""
        return self._out.read_text().split()[1:]

    def wait_for(self, wanted: str, timeout: float = 20.0) -> float:
        """Read notifications until one starts with `wanted`; returns the seconds it took."""
        started = time.monotonic()
        self.manager.settimeout(timeout)
        while not self.messages or not self.messages[-1].startswith(wanted):
            self.messages.append(self.manager.recv(4096).decode())
        return time.monotonic() - started

    def sleeps(self) -> int:
        """How often its threads went to sleep by themselves."""
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        lines = [line for task in tasks for line in (task / "status").read_text().splitlines()]
        return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))

    def get(self, path: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            connection.close()

    def in_background(self, path: str) -> Callable[[], int | str]:
        """Have a request worked on; call the result for its status, or the name of the error."""
        result: list[int | str] = []

        def request() -> None:
            try:
                result.append(self.get(path))
            except (OSError, http.client.HTTPException) as error:
                result.append(type(error).__name__)

        thread = threading.Thread(target=request)
        thread.start()
        while "working" not in self.turns():
            time.sleep(0.02)

        def join() -> int | str:
            thread.join(40)
            return result[0]

        return join

    def stop(self, *signals: signal.Signals) -> tuple[int, float, list[str], str]:
        """Exit status, seconds, turns of life, standard error."""
        started = time.monotonic()
        for number in signals:
            self.process.send_signal(number)
            time.sleep(0.3)
        status = self.process.wait(timeout=40)
        return status, time.monotonic() - started, self.turns(), self._err.read_text()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.manager.close()


Start = Callable[..., Service]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    made: list[Service] = []

    def make(**options: object) -> Service:
        made.append(Service(tmp_path, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for service in made:
        service.close()


def test_ready_comes_when_the_port_answers(start: Start) -> None:
    service = start(startup_s=0.5)
    assert service.wait_for("READY=1") > 0.3
    assert service.messages == ["READY=1\nSTATUS=Ready, 0 requests"]
    assert service.get("/") == 200
    assert service.turns() == ["loaded", "started"]
    service.wait_for("STATUS=Ready, 1 requests")


def test_sigterm_lets_work_finish_and_exits_0(start: Start) -> None:
    service = start(work_s=2.0)
    service.wait_for("READY=1")
    answer = service.in_background("/slow")
    service.process.send_signal(signal.SIGTERM)
    service.wait_for("STOPPING=1")
    time.sleep(0.3)
    with pytest.raises(ConnectionError):
        service.get("/")
    assert answer() == 200
    status, seconds, out, err = service.stop()
    assert (status, out) == (0, ["loaded", "started", "working", "stopping", "unloaded", "returned"])
    assert seconds < 3
    assert "Traceback" not in err
    assert service.messages[-1] == "STOPPING=1\nSTATUS=Stopping: finishing requests in progress"


def test_idle_connections_are_closed_at_once(start: Start) -> None:
    service = start()
    service.wait_for("READY=1")
    idle = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
    idle.request("GET", "/")
    idle.getresponse().read()
    half = socket.create_connection(("127.0.0.1", service.port), timeout=10)
    half.sendall(b"GET / HTTP/1.1\r\nHost:")
    time.sleep(0.2)
    status, seconds, _, err = service.stop(signal.SIGTERM)
    assert status == 0
    assert seconds < 2.5
    assert "Traceback" not in err
    assert half.recv(10) == b""
    half.close()
    idle.close()


def test_after_the_grace_work_gets_a_clean_error(start: Start) -> None:
    service = start(grace_s=1)
    service.wait_for("READY=1")
    answer = service.in_background("/slow")
    status, seconds, out, err = service.stop(signal.SIGTERM)
    assert answer() == 503
    assert (status, out) == (
        0,
        ["loaded", "started", "working", "stopping", "overdue", "unloaded", "returned"],
    )
    assert 1 <= seconds < 4
    assert "Traceback" not in err


def test_work_that_does_not_listen_is_cut(start: Start) -> None:
    service = start(grace_s=0.5, deaf=True)
    service.wait_for("READY=1")
    answer = service.in_background("/slow")
    status, seconds, out, _ = service.stop(signal.SIGTERM)
    assert answer() in ("RemoteDisconnected", "ConnectionResetError", 500)
    assert (status, out[-2:]) == (0, ["unloaded", "returned"])
    assert 2.5 <= seconds < 5.5


def test_a_second_signal_ends_the_grace(start: Start) -> None:
    service = start(grace_s=20)
    service.wait_for("READY=1")
    answer = service.in_background("/slow")
    status, seconds, out, _ = service.stop(signal.SIGTERM, signal.SIGTERM)
    assert answer() == 503
    assert (status, out[-1]) == (0, "returned")
    assert seconds < 4


def test_ctrl_c_exits_130(start: Start) -> None:
    service = start()
    service.wait_for("READY=1")
    status, _, out, err = service.stop(signal.SIGINT)
    assert (status, out[-2:]) == (130, ["unloaded", "returned"])
    assert "KeyboardInterrupt" not in err


def test_sighup_is_ignored_with_a_line(start: Start) -> None:
    service = start()
    service.wait_for("READY=1")
    service.process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert service.get("/") == 200
    status, _, _, err = service.stop(signal.SIGTERM)
    assert status == 0
    assert "SIGHUP does nothing" in err


def test_should_exit_from_inside_stops_in_the_same_order(start: Start) -> None:
    service = start()
    service.wait_for("READY=1")
    assert service.get("/quit") == 200
    status, _, out, _ = service.stop()
    assert (status, out) == (0, ["loaded", "started", "stopping", "unloaded", "returned"])
    service.wait_for("STOPPING=1")


def test_watchdog_is_fed_while_alive_and_during_the_stop_only(start: Start) -> None:
    service = start(watchdog_s=1.0, work_s=1.0)
    service.wait_for("READY=1")
    for _ in range(3):
        service.messages.clear()
        assert service.wait_for("WATCHDOG=1") < 1.0
    service.get("/hang")
    with pytest.raises(TimeoutError):
        service.wait_for("WATCHDOG=2", timeout=1.5)
    answer = service.in_background("/slow")
    service.process.send_signal(signal.SIGTERM)
    service.wait_for("STOPPING=1")
    service.wait_for("WATCHDOG=1")
    assert answer() == 200
    status, _, _, err = service.stop()
    assert status == 0
    assert err.count("no longer alive") == 1


def test_a_failed_start_is_status_1_and_never_ready(start: Start) -> None:
    service = start(fail=True)
    status, _, out, err = service.stop()
    assert (status, out) == (1, ["returned"])
    assert "the application could not start" in err
    service.manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        service.manager.recv(4096)


def test_sigterm_during_the_start(start: Start) -> None:
    service = start(startup_s=1.0)
    time.sleep(0.3)
    status, _, out, _ = service.stop(signal.SIGTERM)
    assert (status, out) == (0, ["stopping", "loaded", "unloaded", "returned"])
    service.wait_for("STOPPING=1")
    assert not any(message.startswith("READY") for message in service.messages)


def test_an_idle_server_wakes_about_once_a_second(start: Start) -> None:
    """uvicorn's own loop wakes ten times a second, and every look around of ours once more."""
    service = start()
    service.wait_for("READY=1")
    assert service.get("/") == 200
    time.sleep(0.5)
    before, began = service.sleeps(), time.monotonic()
    time.sleep(5)
    assert 0.5 < (service.sleeps() - before) / (time.monotonic() - began) < 2
