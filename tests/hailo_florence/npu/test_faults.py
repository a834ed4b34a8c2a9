"""Faults of the chip at every call of Florence, in every version: what a client is told, and what follows.

After each the next engine answers as always, about its own picture. Strict violations end the process and so
fail the test. Faults that kill or hang a process are tried over HTTP, in `test_service.py`.

`HAILO_CAMPAIGN=full` tries every fault at every call (minutes); by default a thin part of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import pytest

from tests.hailo_florence.npu.harness import Harness, told
from tests.hailo_florence.test_golden import rows
from tests.npu import VERSIONS, Fault, Machine

LOST = ("device_lost", "the chip stopped answering")
MEMORY = ("device_out_of_memory", "the chip's memory is full")
HOST_MEMORY = ("device_out_of_memory", "this machine is out of memory")
CMA = ("device_out_of_memory", "contiguous memory (CMA)")
SLOW = ("device_unresponsive", "remove power")
REFUSED = ("device_lost", "see `dmesg | grep hailo`; if this repeats, shut down and remove power")
MISMATCH = ("driver_mismatch", "install the same three-part version")
FIRMWARE = ("driver_mismatch", "the chip's firmware is of another version")
BUSY = ("device_busy", "end it, or let it use the same group_id, here SHARED")
ABSENT = ("device_absent", "lspci")
WRONG = ("wrong_device", "use a Hailo-10H")
UNREACHABLE = ("device_unreachable", "may still be booting")
OLD_FIRMWARE = ("device_unreachable", "still runs the firmware of before")

OPENING = {
    **{
        2: WRONG,
        3: HOST_MEMORY,
        4: UNREACHABLE,
        8: UNREACHABLE,
        15: FIRMWARE,
        16: FIRMWARE,
        36: OLD_FIRMWARE,
        62: UNREACHABLE,
        64: ABSENT,
    },
    **{
        71: MEMORY,
        81: CMA,
        73: BUSY,
        74: BUSY,
        75: WRONG,
        76: MISMATCH,
        77: UNREACHABLE,
        86: MISMATCH,
        87: UNREACHABLE,
    },
    **{89: UNREACHABLE, 96: UNREACHABLE, 97: UNREACHABLE},
}
"""HailoRT's status when the chip is opened to the code and a part of the message."""
RUNNING = {3: HOST_MEMORY, 4: SLOW, 6: LOST, 36: REFUSED, 62: LOST, 71: MEMORY, 81: CMA, 96: LOST}
"""The same for everything after that."""
BRINGING = ("VDevice.create_infer_model", "InferModel.configure")
INFERRING = (
    *("ConfiguredInferModel.wait_for_async_ready", "ConfiguredInferModel.run_async"),
    *("AsyncInferJob.wait", "inference"),
)
RUN_S = 3.5
"""Enough for one run of a network on a machine that has much else to do; opening gives up after half of it,
when the next pause would be too long."""
FALLING_BACK = (26, 75, 92, 93)
FULL = os.environ.get("HAILO_CAMPAIGN") == "full"
_STEP = 17
"""Of so many combinations one is tried by default; it divides no number of faults or calls."""


def some(calls: Sequence[str], *times: int) -> list[tuple[str, int, int]]:
    """Call, occurrence and status: every combination, or a thin part."""
    every = list(product(calls, times, RUNNING))
    return every if FULL else every[::_STEP]


@pytest.fixture(scope="module", params=VERSIONS)
def chip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with Machine(tmp_path_factory.mktemp("faults"), version=request.param) as machine:
        yield machine


@pytest.fixture(scope="module")
def engine(chip: Machine, npu_model: Path) -> Iterator[Harness]:
    with Harness(
        chip.environ, model_dir=str(npu_model), backend="npu", threads=1, device_timeout_s=RUN_S
    ) as harness:
        works(harness, chip, 0)
        yield harness


def golden(image: int) -> list[int]:
    return next(row["tokens"] for row in rows("demo") if (row["image"], row["question"]) == (image, None))


def works(engine: Harness, chip: Machine, image: int) -> None:
    """A new engine answers, about this picture and no other."""
    chip.heal()
    engine.ask("close")
    assert "stages" in engine.ask("load")
    assert engine.ask("run", image=image)["tokens"] == golden(image)


@pytest.mark.parametrize("status", list(OPENING) if FULL else list(OPENING)[::4])
def test_opening(chip: Machine, engine: Harness, status: int) -> None:
    engine.ask("close")
    chip.inject(Fault("VDevice", "status", status=status, times=0))
    check(engine.ask("load"), *OPENING[status], status)
    works(engine, chip, status % 50)


def test_what_passes_is_waited_for(chip: Machine, npu_model: Path) -> None:
    with Harness(
        chip.environ, model_dir=str(npu_model), backend="npu", threads=1, device_timeout_s=100
    ) as patient:
        for status in (73, 74, 62, 97):
            chip.inject(Fault("VDevice", "status", status=status, times=2))
            assert "stages" in patient.ask("load")
            patient.ask("close")
    chip.heal()


@pytest.mark.parametrize(("call", "network", "status"), some(BRINGING, 1, 2))
def test_bringing_a_network_onto_the_chip(
    chip: Machine, engine: Harness, call: str, network: int, status: int
) -> None:
    engine.ask("close")
    chip.inject(Fault(call, "status", status=status, at=network))
    check(engine.ask("load"), *RUNNING[status], status)
    works(engine, chip, status % 50)


@pytest.mark.parametrize(("call", "run", "status"), some(INFERRING, 1, 2, 4))
def test_inferring(chip: Machine, engine: Harness, call: str, run: int, status: int) -> None:
    """The first run is the encoder's, the second the first token's."""
    chip.inject(Fault(call, "status", status=status, at=run))
    check(engine.ask("run", image=61), *RUNNING[status], status)
    works(engine, chip, status % 50)


@pytest.mark.parametrize("call", ["Device", "Control.get_chip_temperature"])
@pytest.mark.parametrize("status", [4, 7, 36, 62] if FULL else [7])
def test_without_a_temperature_all_else_works(chip: Machine, engine: Harness, call: str, status: int) -> None:
    works(engine, chip, 70)  # with nothing open for readings
    chip.inject(Fault(call, "status", status=status, times=0))
    assert engine.ask("vitals") == {}
    assert engine.ask("run", image=71)["tokens"] == golden(71)
    works(engine, chip, status % 50)
    assert engine.ask("vitals") == {"chip_temperature_c": [47.5, 48.0]}


def test_a_chip_lost_while_idle_is_noticed_by_the_next_reading(chip: Machine, engine: Harness) -> None:
    """Before a request meets it; one whose readings alone fail, as above, is left alone."""
    assert engine.ask("vitals")
    chip.lose()
    check(engine.ask("vitals"), *LOST, 62)
    works(engine, chip, 12)


@pytest.mark.parametrize("call", ["VDevice.release", "Device.scan"])
def test_faults_on_the_way_out_harm_nobody(chip: Machine, engine: Harness, call: str) -> None:
    chip.inject(Fault(call, "status", status=62, times=0))
    assert engine.ask("close") == {}
    works(engine, chip, 73)


@pytest.mark.parametrize("status", [14, 91])
@pytest.mark.parametrize("call", BRINGING)
def test_a_damaged_hef_is_fetched_again_and_not_waited_for(
    chip: Machine, engine: Harness, call: str, status: int
) -> None:
    """Status 14 is that of a file that is too short: no chip was lost, and no other try helps."""
    engine.ask("close")
    chip.inject(Fault(call, "status", status=status))
    answer = engine.ask("load")
    assert answer["failed"] == "ModelError"
    assert f"encoder.hef: the file is damaged or incomplete (status {status}, " in answer["message"]
    assert "fetch it again" in answer["message"]
    works(engine, chip, status % 50)


@pytest.mark.parametrize("status", FALLING_BACK if FULL else [92])
@pytest.mark.parametrize("call", BRINGING)
def test_a_refused_hef_without_a_graph_for_the_cpu(
    chip: Machine, engine: Harness, call: str, status: int
) -> None:
    """The model folder is at fault, and no other try would help: no status, the service says so and ends."""
    engine.ask("close")
    chip.inject(Fault(call, "status", status=status, at=2))
    answer = engine.ask("load")
    assert answer["failed"] == "ModelError"
    for words in (
        "florence2_transformer_decoder.hef was made for another chip",
        f"status {status},",
        "missing",
    ):
        assert words in answer["message"]
    works(engine, chip, status % 50)


def check(answer: dict[str, object], code: str, remedy: str, status: int) -> None:
    """The error is one a client can act on: 503, the code, HailoRT's number and what to do."""
    assert "error" in answer, answer
    http, body = told(answer)
    assert (http, body["status"], body["error"]) == (503, 503, code), body
    assert remedy in body["message"]
    assert f"status {status}, " in body["message"]
