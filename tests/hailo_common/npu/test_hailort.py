"""The chip opened and asked through HailoRT, of which a reply is lost now and then: in every version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.hailo_sim.running import run
from tests.npu import VERSIONS, Fault, Machine

QUICK = {"request_s": 0.4}
OPENED = """
from hailo_common.npu.hailort import NpuSettings, open_npu
began = time.monotonic()
try:
    chip = open_npu(NpuSettings("SHARED", {timeout}))
except Exception as error:
    say([type(error).__name__, error.code])
    sys.exit()
"""


def told(folder: Path, version: str, body: str, *faults: Fault, timeout: float = 5.0) -> list[Any]:
    """What a program says that has opened the chip while these faults happen."""
    with Machine(folder, version=version, speed=QUICK, faults=faults) as machine:
        return run(machine, OPENED.format(timeout=timeout) + body + "\nchip.close()\n")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_lost_reply_leaves_time_for_another_try(tmp_path: Path, version: str) -> None:
    """The library's own limit is as long as the time there is for opening."""
    lost = Fault("VDevice", "unheard")
    assert told(tmp_path, version, "say(chip.identity())", lost, timeout=0.3) == ["HAILO10H"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_chip_that_never_answers_is_given_up(tmp_path: Path, version: str) -> None:
    lost = Fault("VDevice", "unheard", times=0)
    assert told(tmp_path, version, "", lost, timeout=0.3) == [["DeviceLost", "device_unreachable"]]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("call", ["Device", "Control.identify", "Control.get_chip_temperature"])
def test_one_lost_reply_ends_no_readings(tmp_path: Path, version: str, call: str) -> None:
    body = "say(chip.temperature())\nsay(chip.temperature())"
    assert told(tmp_path, version, body, Fault(call, "unheard")) == [None, [47.5, 48.0]]


@pytest.mark.parametrize("version", VERSIONS)
def test_readings_that_go_on_failing_are_asked_for_less_and_less(tmp_path: Path, version: str) -> None:
    """Each of them stops the whole process until the library's limit."""
    body = """
began = time.monotonic()
say([chip.temperature() for _ in range(50)] == [None] * 50)
say(time.monotonic() - began < 10 * 0.4)
"""
    lost = Fault("Control.get_chip_temperature", "unheard", times=0)
    assert told(tmp_path, version, body, lost) == [True, True]


@pytest.mark.parametrize("version", VERSIONS)
def test_one_lost_reply_is_no_lost_chip(tmp_path: Path, version: str) -> None:
    once = Fault("Control.identify", "unheard")
    assert told(tmp_path / "once", version, "say(chip.answers())", once) == [True]
    always = Fault("Control.identify", "unheard", times=0)
    assert told(tmp_path / "always", version, "say(chip.answers())", always) == [False]
