"""Mirrors that misbehave while dpkg waits for the models (`when: now`), in a booted machine."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.machine.asking import CAPTION, PORTS, caption, ready
from tests.machine.machine import Machine, booted
from tests.machine.roots import TREE, overlay

STORE = "/var/lib/hailo-models"
DEMO = "/usr/share/hailo-demo-models/florence-2"
FAULTS = {
    "page": "answers with a web page",
    "short": "instead of",
    "wrong": "with SHA-256",
    "absent": "HTTP status 404",
    "stall": "does not answer (any more)",
    "circle": "redirected in a circle",
}


@pytest.fixture(scope="module")
def machine(installed: list[Path], apt_repository: Path) -> Iterator[Machine]:
    """A machine with hailo-florence, a model to fetch, and the mirror."""
    with overlay(*installed) as view, booted(view, apt_repository) as running:
        running.run("apt-get install --yes hailo-demo-models")
        manifest = json.dumps({"schema": 1, "models": {"toy": toy(view)}})
        (view / "etc/hailo/models.d/toy.manifest").write_text(manifest, encoding="utf-8")
        running.run("hailo-ctl config set hailo-florence model=toy backend=cpu")
        running.run("hailo-ctl config set hailo-fetch when=now stall_timeout_s=1 tries=2 keep_free_mb=0")
        (view / "root/tests/hailo_common/models").mkdir(parents=True)
        shutil.copy(TREE / "tests/hailo_common/models/depot.py", view / "root/tests/hailo_common/models")
        shutil.copy(TREE / "tests/machine/bad_mirror.py", view / "root")
        shutil.copy(TREE / "docs/sample.jpg", view / "root")
        script = f"/root/bad_mirror.py {DEMO} /root/port"
        running.run(f"systemd-run --unit=mirror --setenv=PYTHONPATH=/root python3 {script}")
        running.wait("the mirror listens", lambda: running.file("/root/port").is_file())
        yield running


def toy(view: Path) -> dict[str, Any]:
    """The demo model under another name, with checksums, as a manifest has it."""
    folder = view / DEMO.lstrip("/")
    files = [
        {
            "path": path.relative_to(folder).as_posix(),
            "url": f"https://127.0.0.1:9/{path.name}",
            "size": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    return {"service": "hailo-florence", "backend": "cpu", "licence": "none", "about": "toy", "files": files}


def configure(machine: Machine, fault: str) -> str:
    """Let the mirror misbehave and dpkg configure the package, which waits for the fetch; what dpkg says."""
    port = machine.file("/root/port").read_text(encoding="ascii")
    machine.run(f"hailo-ctl config set hailo-fetch mirror=http://127.0.0.1:{port}/{fault} mirrors_only=yes")
    machine.run("systemctl stop hailo-fetch; journalctl --rotate --vacuum-time=1s")
    told = machine.run("dpkg-reconfigure --frontend noninteractive hailo-florence 2>&1").stdout
    assert machine.run("dpkg --audit").stdout == ""
    return told


def whole(machine: Machine) -> list[str]:
    """The files that have a real name."""
    return machine.run(f"find {STORE}/toy -type f -not -name '.*' 2>/dev/null || true").stdout.split()


@pytest.mark.parametrize("fault", FAULTS)
def test_dpkg_is_unharmed(machine: Machine, fault: str) -> None:
    told = configure(machine, fault)
    assert "Not all models are there yet" in told
    assert FAULTS[fault] in machine.journal("hailo-fetch.service")
    assert whole(machine) == []


def test_dpkg_is_unharmed_by_a_full_disk(machine: Machine) -> None:
    options = "size=300k,mode=755,uid=hailo-fetch"
    machine.run(f"systemctl stop hailo-fetch; mount -t tmpfs -o {options} none {STORE}")
    try:
        told = configure(machine, "good")
        assert "Not all models are there yet" in told
        assert "free" in machine.journal("hailo-fetch.service")
        assert whole(machine) == []
    finally:
        machine.run(f"systemctl stop hailo-fetch; umount {STORE}")


def test_a_good_mirror_mends_it_and_the_service_starts_by_itself(machine: Machine) -> None:
    assert not ready(machine, PORTS["hailo-florence"])
    told = configure(machine, "good")
    assert "Not all" not in told
    assert len(whole(machine)) == len(toy(machine.path)["files"])
    assert machine.run(f"find {STORE}/toy -name '.*.part'").stdout == ""
    machine.wait("the service has taken the model", lambda: ready(machine, PORTS["hailo-florence"]))
    assert caption(machine)["caption"] == CAPTION
