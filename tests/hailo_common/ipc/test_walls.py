"""Threat F1 of tests/threats.md: a child that an image or a model took over finds nothing to take further.

The same attempts succeed without walls, as the same user: that is what they were before.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hailo_common.ipc import landlock, seccomp
from tests.hailo_florence.api.running import started

ROOT = Path(__file__).parents[3]
NOBODY = 65534
ALWAYS = {"the model"}
ATTACKS = {
    "key file",
    "key file by /proc",
    "environment of the parent",
    "memory of the parent",
    "ptrace of the parent",
    "signal to the parent",
    "a file beside the model",
    "a connection",
    "a program",
}


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that is none of the system's, readable for the user that is attacked and attacks."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        path = Path(folder)
        (path / "model").mkdir()
        (path / "keys").write_text("first-secret-key\n")
        (path / "model/config.json").write_text("{}")
        if os.getuid() == 0:
            for each in (path, *path.rglob("*")):
                os.chown(each, NOBODY, NOBODY)
        yield path


def tried(place: Path, walls: str) -> dict[str, str]:
    """What a child behind these walls could do to its parent, both as one user without rights."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        words = [sys.executable, "-m", "tests.hailo_common.ipc.wall_program"]
        words += [walls, str(place / "keys"), str(place / "model"), port]
        told = subprocess.run(words, capture_output=True, check=True, cwd=ROOT, timeout=60)
    return dict(json.loads(told.stdout))


def test_without_walls_a_child_can_do_all_of_it(place: Path) -> None:
    told = tried(place, "none")
    assert {name for name, end in told.items() if end == "got"} >= ATTACKS - {"ptrace of the parent"}


@pytest.mark.parametrize("walls", ["engine", "decoder"])
def test_behind_them_it_can_do_none_of_it(place: Path, walls: str) -> None:
    told = tried(place, walls)
    if landlock.version() >= 6 and not told["missing"]:
        assert not {name for name in ATTACKS if told[name] == "got"}
    for name in ("environment of the parent", "memory of the parent", "ptrace of the parent"):
        assert told[name] != "got", "not dumpable, whatever the kernel knows"
    assert told["the model"] == ("got" if walls == "engine" else "PermissionError")


@pytest.mark.parametrize("where", ["/", "beside the keys"])
def test_where_a_service_stands_is_not_what_its_engine_may_read(place: Path, where: str) -> None:
    """`python -m` puts the current folder where modules are found, and the walls let those be read.

    systemd starts services in `/`: behind all walls an engine read every file of its user, the keys too.
    """
    folder = place if where != "/" else Path("/")
    words = [sys.executable, "-P", "-m", "tests.hailo_common.ipc.stray_child", "start"]
    done = subprocess.run(
        [*words, str(place / "model"), str(place / "keys")],
        capture_output=True,
        check=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
    )
    told = json.loads(done.stdout)
    assert str(folder) not in told["path"]
    assert told["model"] == "got"
    if landlock.version() and not told["missing"]:
        assert told["secret"] == "PermissionError"


@pytest.mark.parametrize("service", ["hailo-florence", "hailo-vision"])
def test_the_command_of_an_installation_starts_an_engine(service: str) -> None:
    """The README's own line: an editable installation knows its modules without any path."""
    command = Path(sys.executable).with_name(f"{service}-server")
    if not command.is_file():
        pytest.skip("installed in no environment of its own")
    with started((), "--demo", "shapes", program=(str(command),), PYTHONPATH="") as running:
        assert running.health()["status"] == "healthy"
        assert "less confined" not in running.log


def test_this_machine_has_the_walls() -> None:
    """Debian 13 has both; elsewhere the tests above would prove nothing."""
    assert landlock.version() > 0 or shutil.which("systemd-detect-virt"), "no Landlock here"
    program = "from hailo_common.ipc.seccomp import refuse; assert refuse(['ptrace', 'no_such_call'])"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
    assert seccomp._UNKNOWN == -1
