"""What is known of a chip that does not open, without it: nodes, causes, environment, status numbers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hailo_common.errors import DeviceLost, EngineFailed
from hailo_common.npu import device_nodes as nodes
from hailo_common.npu.errors import Opening, explain, hailort_status, status_name, why_not_open
from hailo_common.npu.hailort import log_directory, prepare_environment
from tests.npu import VERSIONS, Machine

SEEN = Opening(group_id="SHARED", scanned=["0001:01:00.0"], library="5.2.0")
IMPORTED = """
import importlib.abc, os, sys
class Look(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "hailo_platform":
            print(*(os.environ.get(key) for key in ("HAILORT_LOGGER_PATH", "HOME")))
sys.meta_path.insert(0, Look())
from hailo_common.npu.hailort import NpuSettings, open_npu
with open_npu(NpuSettings.read({"service": "hailo-test", "group_id": "SHARED", "timeout_s": 10})) as chip:
    print(chip.identity(), chip.temperature(chip.identity))
chip.close()
"""


class HailoRTStatusException(Exception):
    """As the binding's raw class."""


class HailoRTException(Exception):
    """As the library's base class."""


class HailoRTTimeout(HailoRTException):
    """As the library's class for status 4."""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    monkeypatch.setenv(nodes.SYSROOT, str(made.sysroot))
    return made


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (HailoRTStatusException("74"), 74),
        (HailoRTException("libhailort failed with error: 81 (HAILO_OUT_OF_HOST_CMA_MEMORY)"), 81),
        (HailoRTTimeout("Received a timeout - hailort has failed because a timeout had occurred"), 4),
        (HailoRTException("Buffer must be C_CONTIGUOUS"), None),
        (ValueError("12345"), None),
        (ValueError(), None),
    ],
)
def test_the_number_behind_an_exception(error: Exception, number: int | None) -> None:
    assert hailort_status(error) == number


def test_explaining() -> None:
    told = explain(HailoRTStatusException("62"), "running x on the chip")
    assert isinstance(told, DeviceLost)
    assert told.message.startswith(
        "HailoRT failed while running x on the chip (status 62, COMMUNICATION_CLOSED)"
    )
    mine = EngineFailed("mine")
    assert explain(mine, "anything") is mine
    assert status_name(4) == "TIMEOUT"
    assert status_name(250) == "UNKNOWN"


@pytest.mark.parametrize("status", [4, 36, 62, 76, 87, 15, 16])
def test_what_only_removing_power_mends_says_so(machine: Machine, status: int) -> None:
    """A chip that hung, or runs old firmware, does so after a reboot, too: the slot keeps its power."""
    error = HailoRTStatusException(str(status))
    for told in (explain(error, "working"), why_not_open(error, SEEN)):
        assert "remove power" in str(told)
        assert "reboot to reset" not in str(told)


def test_driver_library_and_firmware_are_told_apart(machine: Machine) -> None:
    (machine.sysroot / "sys/module/hailo1x_pci/version").write_text("5.1.1\n")
    told = {number: why_not_open(HailoRTStatusException(number), SEEN) for number in ("76", "16", "36")}
    assert "the kernel driver is 5.1.1 and the HailoRT library 5.2.0" in str(told["76"])
    assert "the chip's firmware is of another version than the library and the driver" in str(told["16"])
    assert "after an upgrade of the driver the chip still runs the firmware of before" in str(told["36"])
    assert [each.code for each in told.values()] == [
        "driver_mismatch",
        "driver_mismatch",
        "device_unreachable",
    ]


def test_whose_memory_is_full(machine: Machine) -> None:
    told = {number: str(why_not_open(HailoRTStatusException(number), SEEN)) for number in ("3", "71", "81")}
    assert "this machine is out of memory" in told["3"]
    assert "the chip's memory is full" in told["71"]
    assert "this machine has no contiguous memory (CMA)" in told["81"]
    assert "dtoverlay=cma,cma-512" in told["81"]


def test_a_newer_drivers_names(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "h1x-0").touch()
    entry = tmp_path / "sys" / "class" / "hailo1x" / "h1x-0"
    entry.mkdir(parents=True)
    (entry / "device_id").write_text("0001:01:00.0")
    assert nodes.device_nodes(tmp_path) == [tmp_path / "dev" / "h1x-0"]
    assert nodes.sysfs_devices(tmp_path) == [nodes.SysfsDevice("h1x-0", "0001:01:00.0", "")]
    assert nodes.sysfs_devices(tmp_path)[0].supported


def test_no_permission(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    node = machine.nodes[0]
    monkeypatch.setattr(os, "access", lambda path, mode: path != node)
    lost = why_not_open(HailoRTStatusException("36"), SEEN)
    assert lost.code == "device_permission"
    assert f"no permission to open {node}" in lost.message
    assert "hailo-devices" in lost.message


def test_a_node_that_is_gone(machine: Machine) -> None:
    machine.nodes[0].unlink()
    assert why_not_open(HailoRTStatusException("36"), SEEN).code == "device_absent"


def test_absent_and_busy_have_one_number(machine: Machine) -> None:
    error = HailoRTStatusException("74")
    assert why_not_open(error, SEEN).code == "device_busy"
    empty = Opening(group_id="SHARED", scanned=[], library="5.2.0")
    assert why_not_open(error, empty).code == "device_absent"


def test_who_has_the_chip(machine: Machine) -> None:
    node = nodes.device_nodes()[0]
    program = "import sys; f = open(sys.argv[1]); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(node)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        found = nodes.holders([node])
        assert [one.pid for one in found] == [holder.pid]
        assert f"(process {holder.pid})" in why_not_open(HailoRTStatusException("74"), SEEN).message
        holder.communicate()
    assert nodes.holders([node]) == []


def test_the_log_directory(tmp_path: Path) -> None:
    home, logs, state = tmp_path / "home", tmp_path / "logs", tmp_path / "state"
    home.mkdir()
    environ = {"HOME": str(home)}
    assert log_directory("s", environ) == home / ".local/state/s"
    environ["XDG_STATE_HOME"] = str(state)
    assert log_directory("s", environ) == state / "s"
    environ["LOGS_DIRECTORY"] = f"{logs}:/other"
    assert log_directory("s", environ) == logs
    assert log_directory("s", {"HOME": "/proc/nothing"}) is None


def test_the_environment_keeps_what_an_operator_set(tmp_path: Path) -> None:
    environ = {"HAILORT_LOGGER_PATH": "/mine", "HOME": str(tmp_path)}
    prepare_environment(tmp_path / "logs", environ)
    assert (environ["HAILORT_LOGGER_PATH"], environ["HOME"]) == ("/mine", str(tmp_path))
    bare: dict[str, str] = {}
    prepare_environment(None, bare)
    assert bare["HAILORT_LOGGER_PATH"] == "NONE"


@pytest.mark.parametrize("version", VERSIONS)
def test_the_environment_is_set_before_the_library_is_imported(tmp_path: Path, version: str) -> None:
    with Machine(tmp_path / "machine", version=version) as made:
        environ = {**os.environ, **made.environ, "LOGS_DIRECTORY": str(tmp_path), "HOME": "/nonexistent"}
        del environ["HAILORT_LOGGER_PATH"]
        done = subprocess.run(
            [sys.executable, "-c", IMPORTED], env=environ, capture_output=True, text=True, check=True
        )
    first, second = done.stdout.splitlines()
    assert first == f"{tmp_path} {tmp_path}"
    assert second == "HAILO10H (47.5, 48.0)"


@pytest.mark.parametrize("version", VERSIONS)
def test_beside_a_hailo_8_the_right_chip_is_opened(tmp_path: Path, version: str) -> None:
    with Machine(tmp_path, version=version) as made:
        made.add_hailo8("0000:01:00.0")
        done = subprocess.run(
            [sys.executable, "-c", IMPORTED],
            env={**os.environ, **made.environ},
            capture_output=True,
            text=True,
            check=False,
        )
    assert "HAILO10H" in done.stdout, done.stderr
