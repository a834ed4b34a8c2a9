"""What doctor tells of the chip's firmware."""

from __future__ import annotations

from pathlib import Path

import pytest

from hailo_common.cli.doctor.check import System
from hailo_common.cli.doctor.firmware import check_firmware
from hailo_common.config.paths import Paths
from hailo_common.npu.errors import POWER
from tests.hailo_common.cli.conftest import Machine
from tests.hailo_common.cli.test_doctor import device, lines, patient

IDENTIFIED = """\
Executing on device: 0001:01:00.0
Identifying board
Control Protocol Version: 2
Firmware Version: {} (release,app)
Logger Version: 0
Device Architecture: HAILO10H
"""


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"env": IDENTIFIED.format("5.2.0")}, ["ok firmware: 5.2.0"]),
        ({"env": IDENTIFIED.format("5.1.1")}, ["warn firmware: the chip runs 5.1.1, the driver is 5.2.0"]),
        ({"env": "no chip"}, []),
        ({}, []),
    ],
)
def test_the_firmware_is_the_drivers(machine: Machine, answers: dict[str, str], expected: list[str]) -> None:
    device(machine)
    assert lines(check_firmware(patient(machine, **answers))) == expected


def test_the_firmware_is_asked_for_by_a_real_program_that_leaves_no_log(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stand-in does as HailoRT's: its log lies where it runs, unless it is told not to."""
    device(machine)
    program = tmp_path / "bin/hailortcli"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\n[ "$HAILORT_LOGGER_PATH" = NONE ] || : >hailort.log\n'
        f'[ "$*" = "fw-control identify" ] && cat <<END\n{IDENTIFIED.format("5.1.1")}END\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    [finding] = check_firmware(System(Paths(root=machine.root, environ={})))
    assert (finding.state, POWER in finding.remedy) == ("warn", True)
    assert not (tmp_path / "hailort.log").exists()


def test_without_a_device_no_program_is_asked(machine: Machine) -> None:
    assert lines(check_firmware(patient(machine, env=IDENTIFIED.format("5.2.0")))) == []
