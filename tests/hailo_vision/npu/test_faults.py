"""Faults of the chip while it works: told as documented, mended, and never another client's picture.

`HAILO_CAMPAIGN=full` injects every fault at every call (minutes); by default each call meets some of them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from hailo_vision.onnx.engine import OnnxVisionEngine
from tests.hailo_vision.api.conftest import events
from tests.hailo_vision.npu.faults import Case, check_told, losses, request_cases, some
from tests.hailo_vision.npu.serving import (
    CHAT,
    DESCRIBE,
    Npu,
    OnDemand,
    body,
    content,
    error_of,
    scene,
    serving,
    truth,
    user,
)
from tests.npu import VERSIONS, Fault, Machine

FULL = os.environ.get("HAILO_CAMPAIGN") == "full"
DEADLINE_S = 6.0
FIRST, SECOND = 20, 22
READING = "Control.get_chip_temperature"
CASES = [
    pytest.param(version, case, id=f"{version}-{case}")
    for version in VERSIONS
    for case in (request_cases() if FULL else some(request_cases(), version, 1))
]


@pytest.fixture(scope="module")
def services(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnDemand]:
    """Deadlines are short."""
    settings: dict[str, Any] = {"request_timeout_s": DEADLINE_S, "device_timeout_s": 1}

    @contextmanager
    def begin(version: str) -> Iterator[Npu]:
        folder = tmp_path_factory.mktemp(f"faulty-{version}")
        with (
            Machine(folder, version=version, log_calls=True) as machine,
            serving(machine, model, **settings) as npu,
        ):
            yield npu

    with OnDemand(begin) as made:
        yield made


def works(npu: Npu, cpu: OnnxVisionEngine) -> None:
    """Another client's picture gets its own answer; the two pictures cannot be mistaken."""
    npu.until_ready()
    assert truth(cpu, FIRST) != truth(cpu, SECOND)
    assert content(npu.describe(SECOND)) == truth(cpu, SECOND)


@pytest.mark.parametrize(("version", "case"), CASES)
def test_a_fault_in_a_request(services: OnDemand, cpu: OnnxVisionEngine, version: str, case: Case) -> None:
    npu = services[version]
    npu.until_ready()
    before = losses(npu)
    npu.machine.inject(case.fault)
    check_told(npu.describe(FIRST), case)
    npu.machine.heal()
    works(npu, cpu)
    assert losses(npu) > before
    assert npu.machine.violations() == ""


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "call", ["VLM.generate", "encode", "prefill", "token", "LLMGeneratorCompletion.read"]
)
@pytest.mark.parametrize("what", ["hang", "hang-free"])
def test_a_hang_ends_in_the_deadline(
    services: OnDemand, cpu: OnnxVisionEngine, version: str, call: str, what: str
) -> None:
    npu = services[version]
    npu.until_ready()
    npu.machine.inject(Fault(call, what))  # type: ignore[arg-type]
    began = monotonic()
    reply = npu.describe(FIRST)
    took = monotonic() - began
    assert (reply.status_code, error_of(reply)["code"]) == (503, "engine_timeout")
    assert DEADLINE_S <= took + 0.5 < DEADLINE_S + 20
    npu.machine.heal()
    works(npu, cpu)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("call", ["VLM.generate", "LLMGeneratorCompletion.read", "VLM.tokenize"])
def test_a_delay_only_delays(services: OnDemand, cpu: OnnxVisionEngine, version: str, call: str) -> None:
    npu = services[version]
    npu.until_ready()
    before = losses(npu)
    npu.machine.inject(Fault(call, "delay", seconds=0.5))
    assert content(npu.describe(FIRST)) == truth(cpu, FIRST)
    npu.machine.heal()
    assert losses(npu) == before


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("status", [6, 62])
def test_a_fault_in_the_middle_of_a_stream_is_its_last_event(
    services: OnDemand, cpu: OnnxVisionEngine, version: str, status: int
) -> None:
    npu = services[version]
    npu.until_ready()
    npu.machine.inject(Fault("LLMGeneratorCompletion.read", "status", status=status, at=5))
    request = body([user(scene(FIRST), DESCRIBE)], stream=True)
    *chunks, last = events(npu.service.client.post(CHAT, json=request).text)
    said = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    assert said
    assert truth(cpu, FIRST).startswith(said)
    assert last["error"]["code"] == "device_lost", json.dumps(last)
    assert _losses_told(npu), "a lost device is an error, with its trace"
    npu.machine.heal()
    works(npu, cpu)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("when", ["told", "hung up"])
def test_a_lost_session_is_survived_and_all_is_given_back(
    services: OnDemand, cpu: OnnxVisionEngine, version: str, when: str
) -> None:
    """libhailort aborts the process over an answer under way whose session is lost."""
    npu = services[version]
    npu.until_ready()
    before, calls = losses(npu), len(npu.machine.calls())
    npu.machine.inject(Fault("token", "delay", seconds=1.0, at=4))
    request = body([user(scene(FIRST), DESCRIBE)], stream=True)
    with npu.service.client.stream("POST", CHAT, json=request) as reply:
        lines = (line for line in reply.iter_lines() if line)
        for line in lines:
            if '"content":"' in line.replace(" ", ""):
                break
        npu.machine.lose()
        if when == "told":
            last = [line for line in lines if line.startswith("data: {")][-1]
            assert json.loads(last.removeprefix("data: "))["error"]["code"] == "device_lost"
    npu.machine.heal()
    # Where the client was gone first, and its answer ended in time, the next reading of the idle chip tells.
    npu.service.until(lambda: losses(npu) > before)
    works(npu, cpu)
    assert "SIGABRT" not in npu.service.log
    assert "HailoRT failed while" in npu.service.health()["engine"]["last_exit"]
    assert {"VLM.release", "VDevice.release"} <= set(npu.machine.calls()[calls:])


def readings(npu: Npu, engine: int) -> int:
    """How often an engine asked the chip for its temperature."""
    return npu.machine.calls(engine).count(READING)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_lost_while_idle_is_noticed_before_a_request_meets_it(
    services: OnDemand, cpu: OnnxVisionEngine, version: str
) -> None:
    """As after a client that hangs up just before: nothing that is under way would tell."""
    npu = services[version]
    npu.until_ready()
    engine, before = npu.service.pid(), losses(npu)
    npu.service.until(lambda: readings(npu, engine) > 0)
    read = readings(npu, engine)
    npu.machine.lose()
    npu.service.until(lambda: losses(npu) > before)
    # One that was under way, and the one that noticed.
    assert readings(npu, engine) <= read + 2
    assert losses(npu) == before + 1
    assert "HailoRT failed while" in npu.service.health()["engine"]["last_exit"]
    works(npu, cpu)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_reading_that_fails_ends_nothing(services: OnDemand, cpu: OnnxVisionEngine, version: str) -> None:
    """Its connection is not the model's: that is asked, and answers."""
    npu = services[version]
    npu.until_ready()
    engine, before, calls = npu.service.pid(), losses(npu), len(npu.machine.calls())
    npu.machine.inject(Fault(READING, "status", status=62))
    npu.service.until(lambda: "VLM.get_context_usage_size" in npu.machine.calls()[calls:])
    assert content(npu.describe(SECOND)) == truth(cpu, SECOND)
    npu.machine.heal()
    assert (npu.service.pid(), losses(npu)) == (engine, before)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_that_hangs_up_leaves_nothing_behind(
    services: OnDemand, cpu: OnnxVisionEngine, version: str
) -> None:
    npu = services[version]
    npu.until_ready()
    before = losses(npu)
    npu.machine.inject(Fault("token", "delay", seconds=0.2, times=0))
    request = body([user(scene(FIRST), DESCRIBE)], stream=True)
    with npu.service.client.stream("POST", CHAT, json=request) as reply:
        for line in reply.iter_lines():
            if '"content": "' in line or '"content":"' in line:
                break
    npu.machine.heal()
    works(npu, cpu)
    assert losses(npu) == before


def _losses_told(npu: Npu) -> list[str]:
    lines = (json.loads(line) for line in npu.service.log.splitlines() if line.startswith("{"))
    return [
        line["exception"] for line in lines if line["level"] == "ERROR" and "DeviceLost" in line["exception"]
    ]
