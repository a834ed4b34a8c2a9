from __future__ import annotations

from pathlib import Path

import pytest

from hailo_common.errors import DeviceLost, ModelError
from hailo_common.inference.backend import (
    Availability,
    BackendChoice,
    choose_backend,
    choose_stages,
    choose_threads,
    probe,
    stages_info,
)
from hailo_florence.build import STAGES

PLAIN = Availability(hailort=False, device=False, onnxruntime=True)
FULL = Availability(hailort=True, device=True, onnxruntime=True)
NO_LIBRARY = Availability(hailort=False, device=True, onnxruntime=True)
NO_ORT = Availability(hailort=True, device=True, onnxruntime=False)
NOTHING = Availability(hailort=False, device=False, onnxruntime=False)


@pytest.mark.parametrize(
    ("wanted", "available", "hef", "backend", "reason"),
    [
        ("auto", PLAIN, False, "cpu", "no Hailo device found"),
        (
            "auto",
            NO_LIBRARY,
            True,
            "cpu",
            "the hailo_platform library is not installed (package python3-h10-hailort, or a wheel whose"
            " folder hailort_python_path names)",
        ),
        ("auto", FULL, True, "npu", "an NPU and a build of this stage for it are there"),
        ("auto", FULL, False, "cpu", "there is no NPU build of this stage"),
        ("auto", NO_ORT, True, "npu", "an NPU and a build of this stage for it are there"),
        ("npu", FULL, True, "npu", "an NPU and a build of this stage for it are there"),
        ("npu", FULL, False, "cpu", "there is no NPU build of this stage"),
        ("cpu", FULL, True, "cpu", "backend cpu was asked for"),
        ("cpu", PLAIN, False, "cpu", "backend cpu was asked for"),
    ],
)
def test_choice(wanted: str, available: Availability, hef: bool, backend: str, reason: str) -> None:
    choice = choose_backend(wanted, available, hef=hef)
    assert (choice.backend, choice.reason) == (backend, reason)


@pytest.mark.parametrize(
    ("wanted", "available", "error", "words"),
    [
        ("npu", PLAIN, DeviceLost, "HailoRT is not available on this machine: no Hailo device found"),
        ("npu", NO_LIBRARY, DeviceLost, "hailo_platform library is not installed"),
        ("npu", NO_ORT, ModelError, "ONNX Runtime, which is not installed"),
        ("auto", NOTHING, ModelError, "ONNX Runtime, which is not installed"),
        ("cpu", NO_ORT, ModelError, "ONNX Runtime, which is not installed"),
        ("gpu", PLAIN, ModelError, "auto, npu, cpu"),
    ],
)
def test_refusals(wanted: str, available: Availability, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        choose_backend(wanted, available, hef=False)


def test_npu_is_refused_while_no_stage_has_a_build() -> None:
    with pytest.raises(ModelError, match="no NPU build of any stage"):
        choose_stages(STAGES, "npu", FULL)
    assert {choice.backend for choice in choose_stages(STAGES, "auto", FULL).values()} == {"cpu"}
    assert tuple(choose_stages(STAGES, "auto", PLAIN)) == STAGES


def test_a_stage_without_a_build_stays_on_the_cpu() -> None:
    for wanted in ("auto", "npu"):
        choices = choose_stages(STAGES, wanted, FULL, {"decoder": Path("decoder.hef")})
        assert {name: choice.backend for name, choice in choices.items()} == {
            "vision_encoder": "cpu",
            "text_encoder": "cpu",
            "decoder": "npu",
        }


def test_rows_say_what_fell_back() -> None:
    stages = stages_info(
        {"a": BackendChoice("npu", "there"), "b": BackendChoice("cpu", "refused", fell_back=True)}
    )
    assert [stage.to_json() for stage in stages] == [
        {"name": "a", "backend": "HailoRT (NPU)", "reason": "there"},
        {"name": "b", "backend": "onnxruntime (CPU)", "reason": "refused", "fell_back": True},
    ]


@pytest.mark.parametrize("node", ["hailo0", "h1x-0"])
def test_device_nodes_of_both_generations(tmp_path: Path, node: str) -> None:
    dev = tmp_path / "dev"
    dev.mkdir()
    assert not probe(tmp_path).device
    (dev / "hailo_other").touch()
    assert not probe(tmp_path).device
    (dev / node).touch()
    assert probe(tmp_path).device


def test_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3})
    assert choose_threads(3, 1) == 3
    assert choose_threads(0, 1_000_000) == 1
    assert choose_threads(0, 300_000_000) == 4
