"""A healthy engine whose chip is slow to tell its temperature is left alone."""

from __future__ import annotations

from pathlib import Path
from time import monotonic

import pytest

from hailo_vision.onnx.engine import OnnxVisionEngine
from tests.hailo_vision.npu.serving import content, serving, truth
from tests.npu import VERSIONS, Fault, Machine

REPLY_S = 11.0
"""Longer than HailoRT's own limit, at which a lost reply is noticed."""


@pytest.mark.parametrize("version", VERSIONS)
def test_a_slow_reading_ends_nothing(
    model: Path, tmp_path: Path, cpu: OnnxVisionEngine, version: str
) -> None:
    with Machine(tmp_path, version=version, log_calls=True) as machine, serving(machine, model) as npu:
        engine, read = npu.service.pid(), machine.calls().count("Control.get_chip_temperature")
        machine.inject(Fault("Control.get_chip_temperature", "delay", seconds=REPLY_S))
        npu.service.until(lambda: machine.calls().count("Control.get_chip_temperature") > read)
        began = monotonic()
        assert content(npu.describe(22)) == truth(cpu, 22)
        assert monotonic() - began > REPLY_S / 2, "the reading was under way"
        health = npu.service.health()
        assert (npu.service.pid(), health["engine"]["restarts"]) == (engine, 0)
        assert health["chip_temperature_c"] == [47.5, 48.0]
