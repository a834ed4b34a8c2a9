"""How long the service waits for the chip by default: in real time, so for `make campaign` alone.

What is merely slow is waited for, what hangs ends in a 503 and a new engine, on HailoRT of old and of today.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from hailo_vision.config import VisionSettings
from hailo_vision.onnx.engine import OnnxVisionEngine
from tests.hailo_vision.npu.serving import Npu, content, error_of, serving, truth
from tests.npu import VERSIONS, Fault, Machine

DEFAULTS = VisionSettings()
SLOW_S, HANG_S = 11.0, 60.0
"""Longer than HailoRT's own limit, at which a lost reply is noticed; longer than anything that ends well."""
READING = "Control.get_chip_temperature"

pytestmark = pytest.mark.skipif(os.environ.get("HAILO_CAMPAIGN") != "full", reason="make campaign: minutes")


@pytest.fixture(params=(VERSIONS[0], VERSIONS[-1]))
def npu(request: pytest.FixtureRequest, model: Path, tmp_path: Path) -> Iterator[Npu]:
    """The service with the waits that it has by default."""
    waits: dict[str, Any] = {
        "device_timeout_s": DEFAULTS.device_timeout_s,
        "request_timeout_s": DEFAULTS.request_timeout_s,
    }
    with (
        Machine(tmp_path, version=request.param, log_calls=True) as machine,
        serving(machine, model, **waits) as running,
    ):
        running.service.client.timeout = 2 * DEFAULTS.request_timeout_s
        yield running


def until_read(npu: Npu) -> None:
    """Wait for the idle engine's next reading of the temperature."""
    before = npu.machine.calls().count(READING)
    npu.service.until(lambda: npu.machine.calls().count(READING) > before)


@pytest.mark.parametrize("call", [READING, "VLM.generate", "LLMGeneratorCompletion.read"])
def test_a_reply_of_eleven_seconds_ends_nothing(npu: Npu, cpu: OnnxVisionEngine, call: str) -> None:
    engine = npu.service.pid()
    npu.machine.inject(Fault(call, "delay", seconds=SLOW_S))
    if call == READING:
        until_read(npu)
    began = monotonic()
    assert content(npu.describe(22)) == truth(cpu, 22)
    assert monotonic() - began > SLOW_S / 2
    assert (npu.service.pid(), npu.service.health()["engine"]["restarts"]) == (engine, 0)


def test_a_reading_that_hangs_ends_in_a_new_engine(npu: Npu, cpu: OnnxVisionEngine) -> None:
    npu.machine.inject(Fault(READING, "hang"))
    until_read(npu)
    took = refused(npu, cpu, "engine_lost")
    assert HANG_S - 10 < took < HANG_S + 30


def test_a_chip_that_stops_in_an_answer_ends_in_a_new_engine(npu: Npu, cpu: OnnxVisionEngine) -> None:
    npu.machine.inject(Fault("token", "stall", seconds=HANG_S, at=2))
    took = refused(npu, cpu, "device_unresponsive")
    assert DEFAULTS.device_timeout_s <= took < HANG_S


def test_a_call_that_never_returns_ends_in_a_new_engine(npu: Npu, cpu: OnnxVisionEngine) -> None:
    npu.machine.inject(Fault("LLMGeneratorCompletion.read", "hang", at=2))
    took = refused(npu, cpu, "engine_timeout")
    assert DEFAULTS.request_timeout_s - 1 < took < DEFAULTS.request_timeout_s + 30


def refused(npu: Npu, cpu: OnnxVisionEngine, code: str) -> float:
    """The seconds until a request is refused with this code; the next one has a new engine and its answer."""
    engine, began = npu.service.pid(), monotonic()
    reply = npu.describe(20)
    took = monotonic() - began
    assert (reply.status_code, error_of(reply)["code"]) == (503, code)
    assert int(reply.headers["retry-after"]) >= 1
    npu.machine.heal()
    npu.until_ready()
    assert npu.service.pid() != engine
    assert content(npu.describe(22)) == truth(cpu, 22)
    print(f"\n{code} after {took:.1f} s, an answer {monotonic() - began - took:.1f} s later")
    return took
