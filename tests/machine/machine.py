"""A booted Debian 13: systemd in a container without network, driven from outside."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

from tests.machine.roots import REPOSITORY, Root, use_repository

_BOOT_S = 180


class Machine(Root):
    """Commands run beside its systemd."""

    def __init__(self, path: Path, leader: int) -> None:
        super().__init__(path)
        self._leader = leader

    def entry(self) -> list[str]:
        """The command that enters it."""
        return ["nsenter", "--target", str(self._leader), "--all"]

    def state(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.run(f"systemctl show --property {name} --value {unit}").stdout.strip()

    def journal(self, unit: str) -> str:
        """What the unit wrote, and what systemd wrote about it."""
        return self.run(f"journalctl --no-pager --output cat --unit {unit}").stdout

    def wait(self, what: str, holds: Callable[[], bool], seconds: float = 120) -> None:
        """Wait until `holds`; fails with the journal's end."""
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                tail = self.run("journalctl --no-pager --lines 60", check=False).stdout
                raise AssertionError(f"not within {seconds:g} s: {what}\n{tail}")
            time.sleep(0.2)

    def wait_active(self, unit: str) -> None:
        """Wait until a unit is active."""
        self.wait(f"{unit} is active", lambda: self.state(unit, "ActiveState") == "active")


@contextlib.contextmanager
def booted(
    view: Path, repository: Path | None = None, *, network: str = "", name: str = "hailo-test"
) -> Iterator[Machine]:
    """Boot the root folder. Its network is a loopback of its own, or the namespace at the path `network`."""
    if repository:
        use_repository(view)
    group = _control_groups() / f"{name}.{uuid4().hex}"
    command = [
        # In a group of its own: else machines that run at once take each other's units for theirs.
        "/bin/sh",
        "-c",
        'mkdir "$0" && echo $$ >"$0/cgroup.procs" && exec "$@"',
        str(group),
        "systemd-nspawn",
        f"--directory={view}",
        *([f"--bind-ro={repository}:{REPOSITORY}"] if repository else []),
        f"--network-namespace-path={network}" if network else "--private-network",
        # systemd enforces DeviceAllow= and IPAddressAllow= with BPF; the services build walls with Landlock.
        "--system-call-filter=bpf landlock_create_ruleset landlock_add_rule landlock_restrict_self",
        "--register=no",
        "--keep-unit",
        "--console=pipe",
        f"--machine={name}",
        "--boot",
    ]
    environ = {**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}
    nspawn = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environ
    )
    try:
        machine = Machine(view, _leader(nspawn))
        machine.wait("systemd has booted", lambda: _is_up(machine), _BOOT_S)
        yield machine
    finally:
        # Its own words for "power off".
        with contextlib.suppress(ProcessLookupError):
            nspawn.terminate()
        try:
            nspawn.wait(60)
        except subprocess.TimeoutExpired:
            nspawn.kill()
            nspawn.wait(60)
        for folder, _, _ in os.walk(group, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()


def _control_groups() -> Path:
    """Where the unified hierarchy is mounted."""
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(place)
    raise AssertionError("no unified hierarchy of control groups")


def _leader(nspawn: subprocess.Popen[bytes]) -> int:
    children = Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children")
    deadline = time.monotonic() + _BOOT_S
    while time.monotonic() < deadline:
        if nspawn.poll() is not None:
            raise AssertionError(f"systemd-nspawn ended with {nspawn.returncode}")
        # Its first child sets up the container; the one that runs systemd shows as such.
        for pid in children.read_text(encoding="ascii").split():
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text(encoding="ascii").strip() in ("systemd", "init"):
                    return int(pid)
        time.sleep(0.1)
    raise AssertionError("systemd did not start")


def _is_up(machine: Machine) -> bool:
    done = machine.run("systemctl is-system-running", check=False)
    return done.stdout.strip() in ("running", "degraded")
