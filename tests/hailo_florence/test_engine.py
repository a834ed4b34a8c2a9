"""The engine on random models: its contract, its limits, chance, and cancelling."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hailo_common.engine.contract import RgbImage
from hailo_common.errors import DeviceLost, EngineFailed, InvalidParameter
from hailo_common.images.resize import ResizeSpec
from hailo_florence.engine import FlorenceEngine, make_engine
from hailo_florence.protocol import TASKS, FlorenceRequest
from tests.hailo_florence.cases import FOLDERS, ask, formula_image, with_settings
from tests.hailo_florence.conftest import Load

A = FOLDERS["random-a"]
SIDE = 64
POSITIONS = 96
IMAGE = formula_image(SIDE, 0)
SPECIAL = {0, 1, 2}


@pytest.fixture(scope="module")
def stopping(load: Load, engine: FlorenceEngine) -> FlorenceEngine:
    """The model with one more end of sequence, that it chooses after some tokens by itself."""
    tokens, _ = ask(engine, caption(max_length=40), IMAGE)
    end = next(token for place, token in enumerate(tokens) if place > 5 and token not in tokens[:place])
    return load(A, {"eos_token_id": [2, end]})


def caption(**fields: Any) -> dict[str, Any]:
    return {"task": "caption", "max_length": 12, **fields}


def test_load_says_what_the_contract_asks(load: Load) -> None:
    with make_engine({"model_dir": str(A), "backend": "auto", "threads": 2, "variant": ""}) as engine:
        info = engine.load().to_json()
    assert json.loads(json.dumps(info)) == info
    assert ResizeSpec.from_json(info["resize"]) == ResizeSpec(SIDE, SIDE)
    assert [stage["name"] for stage in info["stages"]] == ["vision_encoder", "text_encoder", "decoder"]
    assert {stage["backend"] for stage in info["stages"]} == {"onnxruntime (CPU)"}
    assert all(stage["reason"] for stage in info["stages"])
    assert info["limits"] == {
        "max_positions": POSITIONS,
        "image_tokens": 17,
        "max_length": POSITIONS - 2,
        "default_min_length": 0,
        "location_bins": 0,
    }
    assert info["capabilities"] == {
        task: not spec.needs_locations and spec.least <= POSITIONS - 2 for task, spec in TASKS.items()
    }
    assert info["model"]
    assert info["demo"] is False


def test_card_names_the_model(tmp_path: Path) -> None:
    folder = with_settings(A, tmp_path, {"min_length": 7})
    (folder / "model_card.json").write_text('{"name": "shapes", "description": "Only shapes.", "demo": true}')
    with make_engine({"model_dir": str(folder)}) as engine:
        info = engine.load().to_json()
    assert (info["model"], info["description"], info["demo"]) == ("shapes", "Only shapes.", True)
    assert info["limits"]["default_min_length"] == 5


def test_npu_is_refused_on_a_machine_without_one() -> None:
    with pytest.raises(DeviceLost, match="HailoRT is not available on this machine"):
        make_engine({"model_dir": str(A), "backend": "npu"}).load()


def test_closing_twice_and_running_after() -> None:
    engine = make_engine({"model_dir": str(A)})
    engine.close()
    engine.load()
    engine.close()
    engine.close()
    with pytest.raises(RuntimeError, match="not loaded"):
        engine.run(FlorenceRequest(**caption()), [IMAGE])


def test_events(engine: FlorenceEngine) -> None:
    tokens, result = ask(engine, caption(), IMAGE)
    assert tokens[0] == 0
    assert tokens[-1] == 2
    assert result["completion_tokens"] == len([token for token in tokens if token not in SPECIAL]) == 12
    assert result["finish_reason"] == "length"
    assert result["text"]
    assert all(result[f"{stage}_seconds"] > 0 for stage in ("vision", "encoder", "decode"))


@pytest.mark.parametrize("change", [-1, 0, 1])
def test_longest_answer_is_exact(stopping: FlorenceEngine, change: int) -> None:
    whole, result = ask(stopping, caption(max_length=40), IMAGE)
    assert result["finish_reason"] == "stop"
    words = len(whole) - 2
    assert words > 3
    tokens, result = ask(stopping, caption(max_length=words + change), IMAGE)
    assert tokens[: 1 + words + min(change, 0)] == whole[: 1 + words + min(change, 0)]
    assert len(tokens) == 2 + words + min(change, 0)
    assert result["finish_reason"] == ("stop" if change >= 0 else "length")


@pytest.mark.parametrize("change", [-1, 0, 1])
def test_shortest_answer_is_exact(stopping: FlorenceEngine, change: int) -> None:
    whole, _ = ask(stopping, caption(max_length=40), IMAGE)
    words = len(whole) - 2
    tokens, _ = ask(stopping, caption(max_length=40, min_length=words + change), IMAGE)
    assert (tokens == whole) == (change <= 0)
    assert len(tokens) - 2 >= words + change


def test_answers_end_where_the_models_positions_do(engine: FlorenceEngine) -> None:
    tokens, result = ask(engine, caption(max_length=100_000), IMAGE)
    assert len(tokens) == POSITIONS
    assert result["finish_reason"] == "length"


def test_room_for_the_question_is_exact(engine: FlorenceEngine) -> None:
    def ask_words(count: int) -> dict[str, Any]:
        return ask(engine, {"task": "vqa", "question": "x" * count, "max_length": 2}, IMAGE)[1]

    fitting = POSITIONS - 17 - len(engine._prompts.encode("vqa", "x")) + 1
    assert ask_words(fitting)["text"]
    with pytest.raises(InvalidParameter) as caught:
        ask_words(fitting + 1)
    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "question")
    assert f"17 tokens and the prompt {POSITIONS - 16}, {POSITIONS + 1} together" in caught.value.message
    assert f"room for {POSITIONS}." in caught.value.message


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"task": "<OD>"}, "task"),
        ({"task": "vqa"}, "question"),
    ],
)
def test_what_the_model_cannot_do_is_named_before_anything_runs(
    engine: FlorenceEngine, fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(InvalidParameter) as caught:
        engine.run(FlorenceRequest(**caption(**fields)), [IMAGE])
    assert caught.value.param == param


def test_same_seed_same_answer_and_temperature_matters(engine: FlorenceEngine) -> None:
    def tokens(**fields: Any) -> list[int]:
        return ask(engine, caption(max_length=30, **fields), IMAGE)[0]

    greedy = tokens()
    assert tokens(temperature=0, seed=3) == greedy
    assert tokens(temperature=1.0, seed=3) == tokens(temperature=1.0, seed=3) != greedy
    assert tokens(temperature=1.0, seed=3) != tokens(temperature=1.0, seed=4)
    assert tokens(temperature=1.0) != tokens(temperature=1.0)
    assert tokens(temperature=1e-6, seed=3) == greedy


def test_question_and_image_matter(engine: FlorenceEngine) -> None:
    answers = [
        tuple(ask(engine, {"task": "vqa", "question": question, "max_length": 12}, image)[0])
        for question in ("what?", "is it red?")
        for image in (IMAGE, formula_image(SIDE, 3))
    ]
    assert len(set(answers)) == 4


def test_cancelling_between_tokens_leaves_the_engine_usable(engine: FlorenceEngine) -> None:
    whole, _ = ask(engine, caption(), IMAGE)
    for stop in range(4):
        events = engine.run(FlorenceRequest(**caption()), [IMAGE])
        seen = [next(events) for _ in range(stop)]
        events.close()  # type: ignore[attr-defined]
        assert seen == whole[:stop]
        assert list(events) == []
    assert ask(engine, caption(), IMAGE)[0] == whole


def test_images_of_another_size_are_an_engine_fault(engine: FlorenceEngine) -> None:
    with pytest.raises(ValueError, match="expected a uint8 image"):
        list(engine.run(FlorenceRequest(**caption()), [formula_image(SIDE + 1, 0)]))


def test_device_output_that_is_no_number(engine: FlorenceEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = engine._stages
    assert stages is not None
    encode = stages.vision.encode

    def broken(image: RgbImage) -> Any:
        return encode(image) * np.float32(np.nan)

    monkeypatch.setattr(stages.vision, "encode", broken)
    unseen = formula_image(SIDE, 9)
    with pytest.raises(EngineFailed) as caught:
        list(engine.run(FlorenceRequest(**caption()), [unseen]))
    assert caught.value.code == "bad_device_output"
    monkeypatch.undo()
    _, result = ask(engine, caption(), unseen)
    assert (result["cached"], result["finish_reason"]) == (False, "length")
