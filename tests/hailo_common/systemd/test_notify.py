"""Messages to a service manager that may be there, slow or gone."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hailo_common.systemd.notify import Notifier


class Manager:
    """The receiving end of NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.setblocking(False)
        self.address = address

    def messages(self) -> list[str]:
        found = []
        while True:
            try:
                found.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return found


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "notify") if request.param == "path" else f"@hailo-test-{os.getpid()}")
    yield made
    made.socket.close()


def test_messages(manager: Manager) -> None:
    notifier = Notifier(manager.address)
    sent = [
        notifier.status("loading\nREADY=1"),
        notifier.ready("Ready"),
        notifier.watchdog(),
        notifier.extend_timeout(1.5),
        notifier.stopping(),
    ]
    assert all(sent)
    assert manager.messages() == [
        "STATUS=loading\\nREADY=1",
        "READY=1\nSTATUS=Ready",
        "WATCHDOG=1",
        "EXTEND_TIMEOUT_USEC=1500000",
        "STOPPING=1",
    ]


def test_from_environ_takes_the_variables_away() -> None:
    environ = {
        "NOTIFY_SOCKET": "/run/x",
        "WATCHDOG_USEC": "9000000",
        "WATCHDOG_PID": str(os.getpid()),
        "HOME": "/",
    }
    assert Notifier.from_environ(environ).watchdog_interval() == 9.0
    assert environ == {"HOME": "/"}


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "abc"},
        {"WATCHDOG_USEC": "-5"},
        {"WATCHDOG_USEC": "9000000", "WATCHDOG_PID": "1"},
    ],
)
def test_no_watchdog(environ: dict[str, str]) -> None:
    assert Notifier.from_environ(environ).watchdog_interval() is None


@pytest.mark.parametrize("address", ["", "/nowhere/at/all", "@nobody-listens-here", "vsock:1:2", "relative"])
def test_nobody_there_is_no_error(address: str) -> None:
    notifier = Notifier.from_environ({"NOTIFY_SOCKET": address})
    assert not notifier.ready()
    assert not notifier.status("x" * 100_000)


def test_a_manager_that_does_not_read_delays_nothing(tmp_path: Path) -> None:
    manager = Manager(str(tmp_path / "n"))
    notifier = Notifier(manager.address)
    started = time.monotonic()
    assert not all(notifier.watchdog() for _ in range(5000))
    assert time.monotonic() - started < 1
    manager.socket.close()
