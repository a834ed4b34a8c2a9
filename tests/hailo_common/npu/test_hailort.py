"""The chip opened and asked through HailoRT, of which a reply is lost now and then: in every version."""

from __future__ import annotations

import ctypes
import mmap
import os
from pathlib import Path
from typing import Any

import pytest

from hailo_common.npu import hailort
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
    body = "say(chip.temperature(int))\nsay(chip.temperature(int))"
    assert told(tmp_path, version, body, Fault(call, "unheard")) == [None, [47.5, 48.0]]


@pytest.mark.parametrize("version", VERSIONS)
def test_readings_that_go_on_failing_are_asked_for_less_and_less(tmp_path: Path, version: str) -> None:
    """Each of them stops the whole process until the library's limit."""
    body = """
began = time.monotonic()
say([chip.temperature(int) for _ in range(50)] == [None] * 50)
say(time.monotonic() - began < 10 * 0.4)
"""
    lost = Fault("Control.get_chip_temperature", "unheard", times=0)
    assert told(tmp_path, version, body, lost) == [True, True]


PROVING = """
proofs = []
say([chip.temperature(lambda: proofs.append(1)), len(proofs)])
say([chip.temperature(lambda: proofs.append(1)) is not None, len(proofs)])
"""


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("fault", "proofs"),
    [
        # Read again through a new connection, which cannot tell whether it was a reply or the chip.
        (Fault("Control.get_chip_temperature", "unheard"), [[None, 0], [True, 1]]),
        # The next reading comes after a pause.
        (Fault("Control.get_chip_temperature", "lost"), [[None, 1], [False, 1]]),
        (Fault("Control.get_chip_temperature", "status", status=7), [[None, 0], [False, 0]]),
        (Fault("Control.get_chip_temperature", "delay", seconds=0.3), [[[47.5, 48.0], 0], [True, 0]]),
    ],
    ids=["one lost reply", "a lost connection", "no sensor", "a slow reply"],
)
def test_the_model_is_tried_where_a_reading_says_that_it_may_be_gone(
    tmp_path: Path, version: str, fault: Fault, proofs: list[list[object]]
) -> None:
    assert told(tmp_path, version, PROVING, fault) == proofs


@pytest.mark.parametrize("version", VERSIONS)
def test_one_lost_reply_is_no_lost_chip(tmp_path: Path, version: str) -> None:
    once = Fault("Control.identify", "unheard")
    assert told(tmp_path / "once", version, "say(chip.answers())", once) == [True]
    always = Fault("Control.identify", "unheard", times=0)
    assert told(tmp_path / "always", version, "say(chip.answers())", always) == [False]


def resident(path: Path) -> float:
    """The share of a file that is in memory."""
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ | mmap.PROT_WRITE, flags=mmap.MAP_PRIVATE) as view,
    ):
        pages = -(-len(view) // mmap.PAGESIZE)
        states = (ctypes.c_ubyte * pages)()
        start = ctypes.c_char.from_buffer(view)
        failed = ctypes.CDLL(None, use_errno=True).mincore(
            ctypes.c_void_p(ctypes.addressof(start)), ctypes.c_size_t(len(view)), states
        )
        del start
        assert not failed, os.strerror(ctypes.get_errno())
    return sum(state & 1 for state in states) / pages


@pytest.mark.parametrize("room", [True, False])
def test_a_model_is_read_before_its_upload_has_a_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: bool
) -> None:
    """Off an SD card below 18 MB/s the upload itself would never be in time."""
    file = tmp_path / "model.hef"
    file.write_bytes(os.urandom(20 << 20))
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if resident(file) > 0.5:
        pytest.skip("this file system lies in memory")
    monkeypatch.setattr(hailort, "_available_memory", lambda: (600 << 20) if room else (100 << 20))
    hailort.read_ahead(file)
    assert (resident(file) > 0.9) is room
