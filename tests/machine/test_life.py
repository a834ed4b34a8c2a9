"""The life of an installation, in this order: each test begins where the one before it ended."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from functools import partial

import pytest

from tests.machine.asking import CAPTION, PORTS, answers, caption, chat, get, preset, ready
from tests.machine.machine import Machine
from tests.machine.repository import NEXT, OURS
from tests.machine.roots import TREE, use_repository

MOST_INSTALLED_KB = 30 * 1024
SERVICES = tuple(PORTS)


def install(machine: Machine, packages: str, verb: str = "install") -> str:
    """apt-get, noninteractive."""
    return machine.run(f"apt-get -qq update && apt-get --yes {verb} {packages} 2>&1", timeout=1800).stdout


@pytest.mark.short
def test_from_a_bare_machine_to_the_first_answers(machine: Machine) -> None:
    shutil.copy(TREE / "docs/sample.jpg", machine.file("/root/sample.jpg"))
    started = time.monotonic()
    output = install(machine, "hailo-florence hailo-vision hailo-demo-models")
    installed = time.monotonic() - started
    assert "Traceback" not in output, output
    machine.wait("hailo-florence is ready", lambda: ready(machine, PORTS["hailo-florence"]))
    assert caption(machine)["caption"]
    captioned = time.monotonic() - started
    machine.wait("hailo-vision is ready", lambda: ready(machine, PORTS["hailo-vision"]))
    assert chat(machine)
    answered = time.monotonic() - started
    for service, port in PORTS.items():
        machine.run(f"hailo-ctl config set {service} model=shapes && systemctl restart {service}")
        machine.wait(f"{service} is ready", partial(ready, machine, port))
    assert caption(machine)["caption"] == CAPTION
    assert "red" in chat(machine).lower()
    print(
        f"\ninstalled {installed:.1f} s, first caption {captioned:.1f} s, first chat answer {answered:.1f} s"
    )


@pytest.mark.short
def test_what_is_installed_is_small(machine: Machine) -> None:
    listing = machine.run(
        "dpkg-query --show --showformat '${Package} ${Installed-Size}\\n' " + " ".join(OURS)
    )
    sizes = {name: int(size) for name, size in map(str.split, listing.stdout.splitlines())}
    without_demo = sum(size for name, size in sizes.items() if name != "hailo-demo-models")
    print(f"\ninstalled KiB: {sizes}; without the demo models {without_demo}")
    assert without_demo <= MOST_INSTALLED_KB


@pytest.mark.short
def test_users_groups_and_folders(machine: Machine) -> None:
    for service in SERVICES:
        assert "hailo-devices" in machine.run(f"id -nG {service}").stdout.split()
        assert machine.run(f"stat -c '%U %a' /var/lib/{service}").stdout == f"{service} 750\n"
    assert machine.run("stat -c '%U %a' /var/lib/hailo-models").stdout == "hailo-fetch 755\n"
    assert machine.run("systemctl --failed --no-legend --plain").stdout == ""


@pytest.mark.short
@pytest.mark.parametrize(
    ("unit", "most"),
    [("hailo-vision", 6), ("hailo-florence", 6), ("hailo-fetch", 15), ("hailo-listen@x", 50)],
)
def test_exposure(machine: Machine, unit: str, most: int) -> None:
    command = f"systemd-analyze security --no-pager --threshold={most} {unit}.service"
    done = machine.run(command, check=False)
    print(done.stdout.strip().splitlines()[-1])
    assert done.returncode == 0, done.stdout


@pytest.mark.short
def test_units_and_rules_are_sound(machine: Machine) -> None:
    names = [f"{service}.{kind}" for service in SERVICES for kind in ("socket", "service")]
    names += ["hailo-fetch.service", "hailo-fetch.timer", "hailo-device.service"]
    found = machine.run(f"systemd-analyze verify --man=no {' '.join(names)} 2>&1").stdout
    assert found == ""
    machine.run("udevadm verify /usr/lib/udev/rules.d/50-hailo-common.rules")


@pytest.mark.short
def test_the_service_has_no_network(machine: Machine) -> None:
    pid = machine.state("hailo-vision.service", "MainPID")
    devices = machine.run(f"cat /proc/{pid}/net/dev").stdout.splitlines()[2:]
    assert [line.split(":")[0].strip() for line in devices] == ["lo"]
    assert machine.run(f"readlink /proc/{pid}/ns/net").stdout != machine.run("readlink /proc/1/ns/net").stdout


@pytest.mark.short
def test_what_autopkgtest_would_run(machine: Machine) -> None:
    source = machine.file("/root/source")
    for path in ("debian/tests/commands", "debian/tests/service", "docs/sample.jpg"):
        source.joinpath(path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(TREE / path, source / path)
    for test in ("commands", "service"):
        machine.run(
            f"cd /root/source && AUTOPKGTEST_TMP=/tmp sh debian/tests/{test}; rm -f /tmp/caption /tmp/answer"
        )


@pytest.mark.short
def test_the_doctor_finds_everything_well(machine: Machine) -> None:
    done = machine.run("hailo-ctl doctor --wait 60 --json")
    findings = json.loads(done.stdout)["findings"]
    assert [each for each in findings if each["state"] == "fail"] == []
    told = " ".join(each["text"] for each in findings).lower()
    assert told.count("an image of a red circle is 'a red circle") == len(SERVICES), told
    # An ordinary user sees less, and changes nothing.
    assert machine.run("setpriv --reuid=nobody --clear-groups hailo-ctl doctor").returncode == 0
    denied = machine.run(
        "setpriv --reuid=nobody --clear-groups hailo-ctl config set hailo-florence port=1", check=False
    )
    assert denied.returncode == os.EX_NOPERM
    machine.run("systemctl stop hailo-florence.socket hailo-florence.service")
    sick = machine.run("hailo-ctl doctor hailo-florence", check=False)
    assert sick.returncode == 1
    assert "systemctl enable --now hailo-florence.socket" in sick.stdout
    machine.run("systemctl start hailo-florence.socket hailo-florence.service")


@pytest.mark.short
def test_dpkg_reconfigure_moves_the_service(machine: Machine) -> None:
    preset(
        machine,
        "hailo-florence/port=12438",
        "hailo-florence/backend=cpu",
        "hailo-florence/api_key=sesame-open",
    )
    machine.wait("the new port answers", lambda: ready(machine, 12438))
    assert not answers(machine, PORTS["hailo-florence"])
    text = machine.file("/etc/hailo/hailo-florence.yaml").read_text(encoding="utf-8")
    assert "\nport: 12438\n" in text
    assert "\nbackend: cpu\n" in text
    assert caption(machine, 12438)["error"] == "invalid_api_key"
    assert caption(machine, 12438, "Authorization: Bearer sesame-open")["caption"] == CAPTION
    keys = machine.run("stat -c '%U %G %a' /etc/hailo/hailo-florence.keys").stdout
    assert keys == "root hailo-florence 640\n"
    assert machine.run("grep -r sesame-open /var/cache/debconf /etc/xdg", check=False).stdout == ""


@pytest.mark.short
def test_an_edit_and_a_restart_move_it_too(machine: Machine) -> None:
    path = machine.file("/etc/hailo/hailo-florence.yaml")
    text = path.read_text(encoding="utf-8").replace("port: 12438", 'port:  "11438"  # as before')
    path.write_text(text.replace("api_key_file", "#api_key_file"), encoding="utf-8")
    machine.run("systemctl restart hailo-florence")
    machine.wait("the old port answers", lambda: ready(machine, PORTS["hailo-florence"]))
    assert not answers(machine, 12438)
    assert caption(machine)["caption"] == CAPTION
    preset(machine, "hailo-florence/backend=auto")
    text = path.read_text(encoding="utf-8")
    assert 'port:  "11438"  # as before\n' in text
    assert "\nbackend: auto\n" in text


def test_limits_of_the_yaml_reach_the_unit(machine: Machine) -> None:
    machine.run("hailo-ctl config set hailo-florence memory_max_mb=1024 tasks_max=99")
    machine.run("systemctl restart hailo-florence")
    assert machine.state("hailo-florence.service", "MemoryMax") == str(1024 << 20)
    assert machine.state("hailo-florence.service", "TasksMax") == "99"


@pytest.mark.short
def test_killed_it_comes_back(machine: Machine) -> None:
    pid = machine.state("hailo-florence.service", "MainPID")
    machine.run(f"kill -KILL {pid}")
    machine.wait("it is restarted", lambda: machine.state("hailo-florence.service", "NRestarts") == "1")
    machine.wait("it is ready", lambda: ready(machine, PORTS["hailo-florence"]))
    assert machine.state("hailo-florence.service", "MainPID") != pid
    assert machine.state("hailo-florence.socket", "ActiveState") == "active"


def test_stopped_the_watchdog_restarts_it(machine: Machine) -> None:
    before = machine.state("hailo-vision.service", "NRestarts")
    machine.run(f"kill -STOP {machine.state('hailo-vision.service', 'MainPID')}")
    machine.wait(
        "the watchdog has ended it", lambda: machine.state("hailo-vision.service", "NRestarts") != before, 180
    )
    assert "Watchdog timeout" in machine.journal("hailo-vision.service")
    machine.wait("it is ready", lambda: ready(machine, PORTS["hailo-vision"]))


def test_many_kills_never_take_the_port_away(machine: Machine) -> None:
    for _ in range(7):
        machine.wait_active("hailo-florence.service")
        machine.run("systemctl kill --signal=KILL hailo-florence.service")
        machine.wait("it ended", lambda: machine.state("hailo-florence.service", "ActiveState") != "active")
    machine.wait("it is ready", lambda: ready(machine, PORTS["hailo-florence"]), 240)
    assert machine.state("hailo-florence.socket", "ActiveState") == "active"
    machine.run("systemctl reset-failed && systemctl restart hailo-florence")


def test_a_broken_yaml_stops_the_start_and_says_where(machine: Machine) -> None:
    path = machine.file("/etc/hailo/hailo-florence.yaml")
    rendered = machine.file("/etc/xdg/hailo-florence/hailo-florence.json")
    good, json_before = path.read_bytes(), rendered.read_bytes()
    path.write_bytes(good + b"prot: 1\n")
    line = good.count(b"\n") + 1
    assert machine.run("systemctl restart hailo-florence", check=False).returncode != 0
    assert machine.state("hailo-florence.service", "ExecMainStatus") == "78"
    assert f"hailo-florence.yaml:{line}: prot: unknown key" in machine.journal("hailo-florence.service")
    assert rendered.read_bytes() == json_before
    assert machine.state("hailo-florence.service", "NRestarts") == "0"
    assert machine.state("hailo-florence.service", "ActiveState") == "failed"
    path.write_bytes(good)
    machine.run("systemctl restart hailo-florence")
    machine.wait("it is ready", lambda: ready(machine, PORTS["hailo-florence"]))


def test_a_device_node_comes_and_goes(machine: Machine) -> None:
    """A node of another driver stands in, and the unit that udev would start is started by hand."""
    before = machine.state("hailo-florence.service", "MainPID")
    machine.run("mknod -m 660 /dev/hailo0 c 10 200 && chgrp hailo-devices /dev/hailo0")
    machine.run("systemctl start hailo-device.service")
    machine.wait(
        "the service was restarted",
        lambda: machine.state("hailo-florence.service", "MainPID") not in ("0", before),
    )
    machine.wait_active("hailo-florence.service")
    assert opened(machine, "/dev/hailo0") == "opened"
    machine.run("mknod -m 666 /dev/other c 10 229")
    assert opened(machine, "/dev/other").startswith("PermissionError")
    machine.run("rm /dev/hailo0 /dev/other")
    assert caption_soon(machine) == CAPTION
    assert get(machine, PORTS["hailo-florence"], "/health")[0] == 200


def opened(machine: Machine, node: str) -> str:
    """What a process in the service's sandbox says when it opens a node for reading and writing."""
    unit = machine.file("/etc/systemd/system/probe.service")
    text = machine.run("systemctl cat hailo-florence.service").stdout
    drop = (
        "ExecStart",
        "Type=",
        "NotifyAccess",
        "Restart",
        "WatchdogSec",
        "Requires",
        "Wants",
        "After",
        "State",
    )
    lines = [line for line in text.splitlines() if not line.startswith(drop)]
    place = lines.index("[Service]") + 1
    python = f"import os; os.open('{node}', os.O_RDWR); print('opened')"
    lines[place:place] = ["Type=oneshot", f'ExecStart=/usr/bin/python3 -c "{python}"']
    unit.write_text("\n".join(lines) + "\n", encoding="utf-8")
    machine.run(
        "systemctl daemon-reload; systemctl start probe.service; rm /etc/systemd/system/probe.service"
    )
    said = machine.run("journalctl --invocation=0 --unit probe.service --identifier python3 --output cat")
    machine.run("systemctl daemon-reload; systemctl reset-failed")
    return said.stdout.splitlines()[-1]


def caption_soon(machine: Machine) -> str:
    """The caption, when the service is ready."""
    machine.wait("it is ready", lambda: ready(machine, PORTS["hailo-florence"]))
    return str(caption(machine)["caption"])


def test_an_upgrade_under_load_refuses_nobody(machine: Machine) -> None:
    settings = machine.file("/etc/hailo/hailo-florence.yaml").read_bytes()
    shutil.copy(TREE / "tests/machine/load.py", machine.file("/root/load.py"))
    clients = [
        subprocess.Popen(
            [*machine.entry(), "python3", "/root/load.py", str(port), "/root/stop"],
            stdout=subprocess.PIPE,
            text=True,
        )
        for port in PORTS.values()
    ]
    try:
        use_repository(machine.path, "next")
        install(machine, "hailo-florence hailo-vision", "install --only-upgrade")
        time.sleep(2)
    finally:
        machine.file("/root/stop").touch()
        found = [json.loads(client.communicate(timeout=120)[0]) for client in clients]
    print(f"\nanswers during the upgrade: {found}")
    for counts in found:
        assert "ConnectionRefusedError" not in counts
        # A connection that the old process had accepted and not read yet.
        assert sum(number for name, number in counts.items() if name != "200") <= 2, counts
    for name in ("hailo-common", *SERVICES):
        version = machine.run(f"dpkg-query --show --showformat '${{Version}}' {name}").stdout
        assert version == NEXT
    assert machine.file("/etc/hailo/hailo-florence.yaml").read_bytes() == settings
    assert caption_soon(machine) == CAPTION


def test_removed_and_installed_again_it_keeps_its_settings(machine: Machine) -> None:
    settings = machine.file("/etc/hailo/hailo-florence.yaml").read_bytes()
    install(machine, "hailo-florence", "remove")
    assert not answers(machine, PORTS["hailo-florence"])
    assert machine.file("/etc/hailo/hailo-florence.yaml").read_bytes() == settings
    install(machine, "hailo-florence")
    assert machine.file("/etc/hailo/hailo-florence.yaml").read_bytes() == settings
    assert caption_soon(machine) == CAPTION


@pytest.mark.short
def test_a_purge_leaves_only_the_users(machine: Machine) -> None:
    # With what they recommend of this project: apt would take that at the next autoremove.
    listing = machine.run("dpkg-query -W -f '${Package} ${db:Status-Status}\n' '*hailo*'").stdout
    recommended = {name for name, state in map(str.split, listing.splitlines()) if state == "installed"}
    install(machine, " ".join({*OURS, *recommended}), "purge")
    places = "/etc /var/lib /var/cache /usr /run/systemd /run/hailo*"
    left = machine.run(f"find {places} -iname '*hailo*' 2>/dev/null || true").stdout.split()
    assert left == []
    assert machine.run("debconf-show hailo-florence hailo-vision hailo-common").stdout == ""
    assert machine.run("getent passwd hailo-vision").stdout.startswith("hailo-vision:")
    assert machine.run("systemctl --failed --no-legend --plain").stdout == ""
