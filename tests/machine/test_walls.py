"""The walls between the processes of a service, on a booted machine: what a child that was taken over finds.

Threat F1 of tests/threats.md; `tests/hailo_common/ipc/test_walls.py` asks processes outside a unit the same.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from hailo_common.ipc import landlock
from tests.machine.asking import CAPTION, PORTS
from tests.machine.machine import Machine, booted
from tests.machine.roots import TREE, overlay, sh
from tests.machine.taken_over import HOOK, KEYS, MARK, WALLS_AWAY

pytestmark = pytest.mark.short
SERVICE, KEY = "hailo-florence", "sesame-open-please"
PYTHON = "/usr/lib/python3/dist-packages"
CHILDREN = {"engine": "hailo_common.engine.child", "decoder": "hailo_common.images.child"}
SCORES = {"engine": 500, "decoder": 1000}
MEMORY = Path("/sys/fs/cgroup/memory")
HELD = 512 << 20
_PICTURE = """
from PIL import Image
for colour in ("red", "blue"):
    Image.new("RGB", (4000, 3000), colour).save(f"/root/{colour}.png")
"""
_HUNGRY = """
_receive, _eaten = receive_message, []
def receive_message(*words, **more):
    if os.getppid() != 1 and os.path.exists("/tmp/hungry"):
        _eaten.append(b"1" * (64 << 20))
    return _receive(*words, **more)
"""
"""Appended to the module that children read messages with: one that grows with every request."""


@pytest.fixture(scope="module")
def machine(installed: list[Path], apt_repository: Path) -> Iterator[Machine]:
    """A machine with hailo-florence and a key."""
    with overlay(*installed) as view, booted(view, apt_repository) as running:
        shutil.copy(TREE / "docs/sample.jpg", view / "root/sample.jpg")
        running.run(f"echo {KEY} >{KEYS}; chgrp {SERVICE} {KEYS}; chmod 640 {KEYS}")
        running.run(f"hailo-ctl config set {SERVICE} api_key_file={KEYS} model=shapes")
        restart(running)
        yield running


def restart(machine: Machine) -> None:
    machine.run(f"systemctl restart {SERVICE}")
    machine.wait("a caption comes out", lambda: asked(machine) == (200, CAPTION))


def asked(machine: Machine, picture: str = "sample.jpg") -> tuple[int, str]:
    """Status, and caption or code of the error."""
    done = machine.run(
        f"curl -sS -m 60 -w '\\n%{{http_code}}' -H 'Authorization: Bearer {KEY}' -F image=@/root/{picture}"
        f" http://127.0.0.1:{PORTS[SERVICE]}/v1/caption",
        check=False,
    )
    body, _, status = done.stdout.rpartition("\n")
    told = json.loads(body or "{}")
    return int(status or 0), str(told.get("caption") or told.get("error"))


def main_pid(machine: Machine) -> int:
    return int(machine.state(f"{SERVICE}.service", "MainPID"))


def children(machine: Machine) -> dict[str, int]:
    """The service's engine and decoder, by the machine's process ids."""
    listing = machine.run(f"pgrep --list-full --parent {main_pid(machine)}", check=False).stdout.splitlines()
    found = {name: line for name, module in CHILDREN.items() for line in listing if module in line}
    return {name: int(line.split()[0]) for name, line in found.items()}


def attack(machine: Machine) -> dict[str, dict[str, str]]:
    """Restart the service, and what its children tried when they were walled off."""
    since = machine.run("date +%s.%N").stdout.strip()
    restart(machine)
    journal = machine.run(f"journalctl --no-pager --output cat --unit {SERVICE} --since @{since}").stdout
    lines = [line.partition(MARK)[2] for line in journal.splitlines() if MARK in line]
    return {told["child"]: told for told in map(json.loads, lines)}


def test_a_child_that_was_taken_over_gets_nothing(machine: Machine) -> None:
    shutil.copy(TREE / "tests/machine/taken_over.py", machine.file(f"{PYTHON}/hailo_taken_over.py"))
    walls = machine.file(f"{PYTHON}/hailo_common/ipc/walls.py")
    before = walls.read_text(encoding="utf-8")
    walls.write_text(before + HOOK, encoding="utf-8")
    try:
        told = attack(machine)
        machine.file(str(WALLS_AWAY)).touch()
        without = attack(machine)
    finally:
        machine.file(str(WALLS_AWAY)).unlink(missing_ok=True)
        walls.write_text(before, encoding="utf-8")
        restart(machine)
    assert set(told) == set(without) == set(CHILDREN)
    readable = {"engine": {"memory of the parent", "environment of the parent", "key file", "configuration"}}
    for child, ends in told.items():
        known = landlock.version() >= 6
        assert not ends.pop("missing") or not known
        got = {what for what, end in ends.items() if end == "got"}
        print(f"\n{child}: {ends}\n  without walls: {without[child]}")
        assert not got, f"{child}: {got}"
        # The unit alone would have kept it from none of these.
        assert readable["engine"] <= {what for what, end in without[child].items() if end == "got"}


def test_another_process_of_the_same_user_reads_nothing_of_it(machine: Machine) -> None:
    """Not dumpable: what lies outside the unit and runs as the user of the service."""
    user = f"setpriv --reuid={SERVICE} --regid={SERVICE} --clear-groups"
    machine.run(f"systemd-run --unit=control --uid={SERVICE} sleep 600")
    control = int(machine.state("control.service", "MainPID"))
    pids = {"control": control, "HTTP process": main_pid(machine), **children(machine)}
    assert len(pids) == 4
    for name, pid in pids.items():
        for what in ("environ", "maps", "mem"):
            done = machine.run(f"{user} head -c 0 /proc/{pid}/{what}", check=False)
            assert (done.returncode == 0) == (name == "control"), f"{what} of {name}: {done.stderr}"
    machine.run("systemctl stop control")


def test_scores_say_who_goes_first(machine: Machine) -> None:
    assert machine.state(f"{SERVICE}.service", "OOMPolicy") == "continue"
    assert {name: score(machine, pid) for name, pid in children(machine).items()} == SCORES
    assert score(machine, main_pid(machine)) == 0


def score(machine: Machine, pid: int) -> int:
    return int(machine.run(f"cat /proc/{pid}/oom_score_adj").stdout)


@contextlib.contextmanager
def little_memory(machine: Machine, pids: list[int], room: int) -> Iterator[Path]:
    """These processes of the machine, and what they start, in a group that has `room` bytes more for them.

    The rest is taken by a file: scores count by the size of the whole group. Yields the group, in the
    hierarchy that knows memory here. The HTTP process stays outside: while the memory of a killed process
    returns, the kernel may find the group still full and nobody else in it to end.
    """
    group, held = MEMORY / f"hailo-test.{uuid4().hex}", Path(f"/dev/shm/hailo-test.{uuid4().hex}")
    group.mkdir()
    try:
        sh("/bin/sh", "-c", f"echo $$ >{group}/cgroup.procs; head -c {HELD} /dev/zero >{held}")
        taken = int((group / "memory.usage_in_bytes").read_text())
        (group / "memory.limit_in_bytes").write_text(str(taken + room))
        for pid in pids:
            # In the machine's numbers of processes, in this one's folders.
            enter = [word for word in machine.entry() if word != "--all"]
            sh(*enter, "--pid", "/bin/sh", "-c", f"echo {pid} >{group}/cgroup.procs")
        yield group
    finally:
        held.unlink(missing_ok=True)
        (group / "memory.limit_in_bytes").write_text("-1")
        for each in (group / "cgroup.procs").read_text().split():
            with contextlib.suppress(OSError):
                (MEMORY / "cgroup.procs").write_text(each)
        group.rmdir()


def kills(group: Path) -> int:
    """How many processes of the group the kernel ended for want of memory."""
    lines = (group / "memory.oom_control").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


@pytest.mark.skipif(not (MEMORY / "memory.limit_in_bytes").exists(), reason="no control group of memory here")
def test_a_kill_for_want_of_memory_ends_a_request_and_not_the_service(machine: Machine) -> None:
    """A real one, by the kernel, which may choose between engine and decoder."""
    machine.file("/root/large.py").write_text(_PICTURE, encoding="utf-8")
    machine.run("python3 /root/large.py")
    before, restarts = main_pid(machine), machine.state(f"{SERVICE}.service", "NRestarts")
    old = children(machine)
    assert asked(machine, "red.png")[0] == 200
    with little_memory(machine, [*old.values()], 16 << 20) as group:
        told = asked(machine, "blue.png")
        killed = kills(group)
        assert killed, told
        assert told[0] in (422, 503), told
    machine.wait("a caption comes out", lambda: asked(machine) == (200, CAPTION))
    now = children(machine)
    print(f"\nof decoder and engine the kernel ended {killed}: {told}; {old} became {now}")
    assert now["decoder"] != old["decoder"]
    assert now["engine"] == old["engine"]
    assert main_pid(machine) == before
    assert machine.state(f"{SERVICE}.service", "NRestarts") == restarts
    assert "Traceback" not in machine.journal(SERVICE)


@pytest.mark.skipif(not (MEMORY / "memory.limit_in_bytes").exists(), reason="no control group of memory here")
def test_an_engine_that_grows_is_killed_and_replaced(machine: Machine) -> None:
    """Alone in the group, so that the kernel has no other choice."""
    module = machine.file(f"{PYTHON}/hailo_common/ipc/messages.py")
    module.write_text(module.read_text(encoding="utf-8") + _HUNGRY, encoding="utf-8")
    restart(machine)
    before, old = main_pid(machine), children(machine)
    hungry = f"/proc/{before}/root/tmp/hungry"
    with little_memory(machine, [old["engine"]], 160 << 20) as group:
        machine.run(f"touch {hungry} && chmod 644 {hungry}")
        ends = [asked(machine)]
        while not kills(group) and len(ends) < 10:
            ends.append(asked(machine))
        machine.run(f"rm {hungry}")
        assert kills(group), ends
    assert ends[-1][0] in (500, 503), ends
    machine.wait("a caption comes out", lambda: asked(machine) == (200, CAPTION))
    print(f"\nthe kernel ended the engine: {ends}; {old} became {children(machine)}")
    assert main_pid(machine) == before
    assert children(machine)["engine"] != old["engine"]
    assert machine.state(f"{SERVICE}.service", "NRestarts") == "0"
