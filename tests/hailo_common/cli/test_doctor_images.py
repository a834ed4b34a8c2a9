"""`hailo-ctl doctor` on images by address: listed hosts want their unit, and the unit wants hosts."""

from __future__ import annotations

import pytest

from hailo_common.cli.doctor.check import CheckResult, System
from hailo_common.cli.doctor.command import CHECKS
from hailo_common.cli.doctor.remote_images import check_remote_images
from hailo_common.config.paths import Paths
from tests.hailo_common.cli.conftest import Machine

ONE, TWO = "hosts: [images.example]\n", "hosts: [images.example, '*.cdn.example']\n"
OFF = "LoadState=loaded\nActiveState=inactive\n"
ON = "LoadState=loaded\nActiveState=active\n"
FAILED = "LoadState=loaded\nActiveState=failed\nResult=exit-code\nExecMainStatus=78\n"
GONE = "LoadState=not-found\nActiveState=inactive\n"


def looked_at(machine: Machine, yaml: str, socket: str, service: str = OFF) -> list[CheckResult]:
    machine.put("run/systemd/system/x", "")
    machine.put("etc/hailo/hailo-images.yaml", yaml)

    def run(*command: str) -> str:
        return {"hailo-images.socket": socket, "hailo-images.service": service}[command[2]]

    return list(check_remote_images(System(Paths(root=machine.root, environ={}), (), run=run)))


@pytest.mark.parametrize(
    ("yaml", "units", "state", "text", "remedy"),
    [
        (ONE, (OFF, OFF), "warn", "1 host is listed, but hailo-images.socket is inactive", "enable --now"),
        (TWO, (FAILED, OFF), "warn", "2 hosts are listed, but hailo-images.socket is failed", "journalctl"),
        (ONE, (GONE, OFF), "fail", "hailo-images.socket is not installed", "apt install --reinstall"),
        (ONE, (ON, FAILED), "fail", "failed: exit-code, status 78", "journalctl -u hailo-images"),
        ("", (ON, ON), "warn", "no host is listed: every address is refused", "disable --now"),
        (TWO, (ON, OFF), "ok", "images by address are fetched: 2 hosts are listed", ""),
        (ONE, (ON, ON), "ok", "images by address are fetched: 1 host is listed", ""),
    ],
)
def test_hosts_and_unit_belong_together(
    machine: Machine, yaml: str, units: tuple[str, str], state: str, *, text: str, remedy: str
) -> None:
    (found,) = looked_at(machine, yaml, *units)
    assert (found.area, found.state) == ("hailo-images: unit", state)
    assert text in found.text
    assert remedy in found.remedy
    assert bool(found.remedy) is (state != "ok")


def test_where_it_is_off_and_nothing_is_listed_nothing_is_said(machine: Machine) -> None:
    assert looked_at(machine, "", OFF) == []
    assert looked_at(machine, "", GONE) == []


def test_a_file_that_is_wrong_is_named_with_its_line(machine: Machine) -> None:
    (found,) = looked_at(machine, "hosts: ['a/b']\n", OFF)
    assert (found.area, found.state) == ("hailo-images: configuration", "fail")
    assert "hailo-images.yaml:1: hosts" in found.text
    assert "config check hailo-images" in found.remedy


def test_without_systemd_only_the_file_is_looked_at(machine: Machine) -> None:
    machine.put("etc/hailo/hailo-images.yaml", ONE)
    system = System(Paths(root=machine.root, environ={}), (), run=lambda *_: None)
    assert list(check_remote_images(system)) == []
    assert check_remote_images in CHECKS
