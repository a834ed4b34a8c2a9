"""How a service starts: hailo-listen and hailo-serve, with stand-ins for systemd's programs."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]
SERVICE = "hailo-vision"
YAML = f"etc/hailo/{SERVICE}.yaml"
JSON = f"etc/xdg/{SERVICE}/{SERVICE}.json"
DROPIN = f"etc/systemd/system/{SERVICE}.socket.d/50-hailo.conf"
REFUSED = f"run/hailo-listen/{SERVICE}.refused"


@dataclass
class Done:
    """How a script ended."""

    status: int
    out: str
    err: str


class Machine:
    """A root folder in which the two scripts work."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.notes = root / "notes"
        for folder in ("bin", "usr/bin", "etc/hailo", "run/hailo-listen"):
            (root / folder).mkdir(parents=True)
        self.program("bin/hailo-ctl", f'exec {sys.executable} -m hailo_common.cli.main "$@" --root {root}')
        self.program("bin/systemctl", f'echo systemctl "$@" >>{self.notes}')
        self.program("bin/chgrp", f'echo chgrp "$@" >>{self.notes}')
        self.program(f"usr/bin/{SERVICE}-server", "echo serving")

    def program(self, path: str, line: str) -> None:
        """A program of one line."""
        target = self.root / path
        target.write_text(f"#!/bin/sh\n{line}\n")
        target.chmod(0o755)

    def script(self, name: str) -> Done:
        """Run a script of debian/libexec with its paths below the root folder."""
        text = (TREE / "debian/libexec" / name).read_text()
        for path in ("/etc/systemd/system", "/etc/avahi", "/run/", "/usr/bin/"):
            text = text.replace(path, f"{self.root}{path}")
        environ = {**os.environ, "PATH": f"{self.root}/bin:{os.environ['PATH']}", "PYTHONPATH": str(TREE)}
        environ.pop("XDG_CONFIG_HOME", None)
        command = ["sh", "-c", text, name, SERVICE]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)
        return Done(done.returncode, done.stdout, done.stderr)

    def start(self) -> Done:
        """A start of the service; what its own journal gets, and its status."""
        self.notes.write_text("")
        assert self.script("hailo-listen").status == 0
        return self.script("hailo-serve")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_good_configuration_is_rendered_and_served(machine: Machine) -> None:
    (machine.root / YAML).write_text("port: 8081\n")
    assert machine.start() == Done(0, "serving\n", "")
    assert '"port": 8081' in (machine.root / JSON).read_text()
    assert "ListenStream=127.0.0.1:8081\n" in (machine.root / DROPIN).read_text()
    assert f"systemctl restart {SERVICE}.socket\n" in machine.notes.read_text()
    (machine.root / f"run/{SERVICE}.socket.conf").write_text((machine.root / DROPIN).read_text())
    assert machine.start() == Done(0, "serving\n", "")
    assert "restart" not in machine.notes.read_text()


def test_the_network_is_told_of_what_is_open_to_it(machine: Machine) -> None:
    folder = machine.root / "etc/avahi/services"
    folder.mkdir(parents=True)
    file = folder / f"{SERVICE}.service"
    for text, told in (
        ("host: 0.0.0.0\n", True),
        ("host: 0.0.0.0\nannounce: false\n", False),
        ("host: 0.0.0.0\nport: 8081\n", True),
        ("", False),
    ):
        (machine.root / YAML).write_text(text)
        assert machine.start() == Done(0, "serving\n", "")
        assert file.exists() is told
    assert list(folder.iterdir()) == []


def test_a_broken_one_ends_the_start_and_changes_nothing(machine: Machine) -> None:
    path = machine.root / YAML
    path.write_text("port: 8081\n")
    machine.start()
    before = [(machine.root / each).read_bytes() for each in (JSON, DROPIN)]
    path.write_text("port: 8082\nprot: 1\n")
    refused = machine.start()
    assert (refused.status, refused.out) == (78, "")
    problem, advice = refused.err.splitlines()
    assert problem == f'<3>hailo-ctl: {path}:2: prot: unknown key; did you mean "port"?'
    assert advice == f"<3>not started: see the line above; correct it, then: systemctl restart {SERVICE}"
    assert [(machine.root / each).read_bytes() for each in (JSON, DROPIN)] == before
    mark = machine.root / REFUSED
    assert mark.stat().st_mode & 0o777 == 0o640
    assert machine.notes.read_text() == f"chgrp {SERVICE} {mark}\n"
    path.write_text("port: 8082\n")
    assert machine.start() == Done(0, "serving\n", "")
    assert not mark.exists()


def test_a_name_without_address_fails_and_keeps_saying_so_until_it_has_one(machine: Machine) -> None:
    path = machine.root / YAML
    path.write_text("host: nothing.invalid\n")
    for _ in range(2):
        done = machine.start()
        # 75, which systemd answers with another start.
        assert (done.status, done.out) == (75, "")
        assert "host: 'nothing.invalid' has no address now; write the address itself" in done.err
        assert not (machine.root / DROPIN).exists()
        assert "restart" not in machine.notes.read_text()
    path.write_text("host: localhost\n")
    assert machine.start() == Done(0, "serving\n", "")


def test_an_address_that_was_taken_and_is_mended_comes_up_at_the_first_start(machine: Machine) -> None:
    systemctl = f"""echo systemctl "$@" >>{machine.notes}
case "$*" in *is-active*) exit 1 ;; esac"""
    machine.program("bin/systemctl", systemctl)
    (machine.root / YAML).write_text("port: 8082\n")
    assert machine.script("hailo-listen").status == 0
    again = f"systemctl reset-failed {SERVICE}.socket\nsystemctl --no-block start {SERVICE}.service\n"
    assert again in machine.notes.read_text()
    # The same address is tried once: a port that stays taken starts nothing in a circle.
    machine.notes.write_text("")
    assert machine.script("hailo-listen").status == 0
    assert "no-block" not in machine.notes.read_text()
    (machine.root / YAML).write_text("port: 8083\n")
    assert machine.script("hailo-listen").status == 0
    assert again in machine.notes.read_text()


@pytest.mark.parametrize(("status", "told"), [(1, 1), (74, 74), (77, 78)])
def test_other_failures_are_the_services_too(machine: Machine, status: int, told: int) -> None:
    """systemd tries again after all but 78, as it does when a service fails by itself."""
    machine.program("bin/hailo-ctl", f"echo something is wrong >&2; exit {status}")
    done = machine.start()
    assert (done.status, done.out) == (told, "")
    assert done.err.startswith("<3>something is wrong\n")
    assert ("not started" in done.err) == (told == 78)
