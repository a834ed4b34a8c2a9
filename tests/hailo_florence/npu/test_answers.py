"""The chip gives the CPU's answers to the golden pictures, whole ones of 16 bits and scores of 8."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hailo_florence.cases import DEMO
from tests.hailo_florence.npu.harness import Harness
from tests.hailo_florence.test_golden import rows
from tests.hailo_sim.make import make_florence_folder
from tests.npu import VERSIONS, Machine

AGREE = 0.99


@pytest.mark.parametrize("version", VERSIONS)
def test_captions_and_answers_are_the_cpus(npu_model: Path, tmp_path: Path, version: str) -> None:
    """At least 99 % token for token; quantisation may turn a tie."""
    with Machine(tmp_path, version=version) as machine:
        agree = _agreement(machine, npu_model)
    assert agree["caption"] >= AGREE
    assert agree["question"] >= AGREE


def test_scores_of_8_bits_give_nearly_the_same(tmp_path: Path) -> None:
    model = make_florence_folder(tmp_path / "model", logits="UINT8")
    with Machine(tmp_path) as machine:
        agree = _agreement(machine, model)
    assert min(agree.values()) >= 0.95


@pytest.mark.parametrize(
    "more",
    [
        {"temperature": 0.7, "seed": 5},
        {"min_length": 9, "max_length": 12},
        {"max_length": 1},
        {"num_beams": 3},
    ],
)
def test_sampling_and_lengths_are_the_cpus(npu_model: Path, tmp_path: Path, more: dict[str, object]) -> None:
    """Where scores have to be real numbers, and where tokens are banned."""
    with Machine(tmp_path) as machine:
        npu, cpu = (_answers(machine, model, more) for model in (npu_model, DEMO))
    assert sum(a == b for a, b in zip(npu, cpu, strict=True)) >= len(npu) - 1


def _answers(machine: Machine, model: Path, more: dict[str, object]) -> list[list[int]]:
    backend = "cpu" if model == DEMO else "npu"
    with Harness(machine.environ, model_dir=str(model), backend=backend, threads=1) as engine:
        assert "stages" in engine.ask("load")
        return [engine.ask("run", image=number, more=more)["tokens"] for number in range(12)]


def _agreement(machine: Machine, model: Path) -> dict[str, float]:
    """The share of golden answers that come out the same, of captions and of questions."""
    same: dict[str, list[bool]] = {"caption": [], "question": []}
    with Harness(machine.environ, model_dir=str(model), backend="npu", threads=1) as engine:
        assert "stages" in engine.ask("load")
        for row in rows("demo"):
            answer = engine.ask("run", image=row["image"], question=row["question"])
            kind = "caption" if row["question"] is None else "question"
            same[kind].append(answer["tokens"] == row["tokens"])
        engine.ask("close")
    return {kind: sum(found) / len(found) for kind, found in same.items()}
