"""The engine on random models: its contract, its limits, chance, and cancelling."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hailo_common.engine.contract import EngineStarted
from hailo_common.errors import DeviceLost, EngineFailed, InvalidParameter
from hailo_common.images.resize import ResizeSpec
from hailo_vision.onnx.engine import OnnxVisionEngine, make_onnx_engine
from hailo_vision.protocol import VisionResult
from tests.hailo_florence.cases import with_settings
from tests.hailo_vision.conversations import FOLDERS
from tests.hailo_vision.talk import ask, noise, question, say, vision_request

A = FOLDERS["random-a"]
OFF = {"conversation_cache_mb": 0, "picture_cache_mb": 0}
CONTEXT = 700
Load = Any


def test_load_says_what_the_contract_asks() -> None:
    with make_onnx_engine({"model_dir": str(A), "backend": "auto", "threads": 2, "variant": ""}) as engine:
        info = engine.load().to_json()
    assert json.loads(json.dumps(info)) == info
    expected = ResizeSpec(fit="smart", factor=12, min_pixels=576, max_pixels=3456)
    assert ResizeSpec.from_json(info["resize"]) == expected
    assert [stage["name"] for stage in info["stages"]] == ["vision_encoder", "decoder"]
    assert {stage["backend"] for stage in info["stages"]} == {"onnxruntime (CPU)"}
    assert all(stage["reason"] for stage in info["stages"])
    assert info["limits"] == {"max_model_len": CONTEXT, "image_tokens_max": 24, "max_images": 16}
    assert info["capabilities"]["vision"] is True
    assert (info["model"], info["demo"]) == ("qwen-random-a", False)


def test_a_smaller_context_and_fewer_images() -> None:
    options = {"model_dir": str(A), "threads": 1, "max_model_len": 28, "max_images": 1}
    with make_onnx_engine(options) as engine:
        info = engine.load().to_json()
        assert info["limits"] == {"max_model_len": 28, "image_tokens_max": 21, "max_images": 1}
        with pytest.raises(InvalidParameter) as caught:
            engine.run(vision_request(question(0, 1)), [noise(0), noise(1)])
        assert (caught.value.code, caught.value.param) == ("too_many_images", "messages")


def test_a_context_beyond_the_models_own_is_the_models_own() -> None:
    with make_onnx_engine({"model_dir": str(A), "threads": 1, "max_model_len": 10**6}) as engine:
        assert engine.load().limits["max_model_len"] == CONTEXT


def test_npu_is_refused_on_a_machine_without_one() -> None:
    with pytest.raises(DeviceLost, match="HailoRT is not available on this machine"):
        make_onnx_engine({"model_dir": str(A), "backend": "npu"}).load()


def test_closing_twice_and_running_after() -> None:
    engine = make_onnx_engine({"model_dir": str(A)})
    engine.close()
    engine.load()
    engine.close()
    engine.close()
    with pytest.raises(RuntimeError, match="not loaded"):
        engine.run(vision_request(question("Hi")), [])


def test_events(engine: OnnxVisionEngine) -> None:
    request = question("Compare", 0, "with", 1, max_tokens=9)
    first, *texts, last = engine.run(vision_request(request), [noise(0), noise(1, 4, 2)])
    assert isinstance(first, EngineStarted)
    assert isinstance(last, VisionResult)
    result = last.to_json()
    assert json.loads(json.dumps(result)) == result
    assert vars(first) == {
        "prompt_tokens": result["prompt_tokens"],
        "image_tokens": 6 + 8,
        "cached_tokens": 0,
        "dropped_messages": 0,
        "loose": False,
        "max_tokens": 9,
    }
    assert texts[:2] == ["", ""]
    assert len(texts) == 2 + result["completion_tokens"]
    assert "".join(map(str, texts)) == result["text"]
    assert result["finish_reason"] == "length"
    seconds = [result[f"{name}_seconds"] for name in ("vision", "prefill", "decode", "first_token")]
    assert all(value > 0 for value in seconds)
    assert result["first_token_seconds"] >= result["vision_seconds"] + result["prefill_seconds"]


@pytest.mark.parametrize("asked", [1, 2, 5])
def test_longest_answer_is_exact(engine: OnnxVisionEngine, asked: int) -> None:
    result = ask(engine, question("Hi", max_tokens=asked))
    assert (result["completion_tokens"], result["finish_reason"]) == (asked, "length")


def test_the_model_ends_by_itself(
    engine: OnnxVisionEngine, load: Load, endless: Path, tmp_path: Path
) -> None:
    """An end of the model's own choice counts as a token and writes nothing."""
    free = list(engine.run(vision_request(question("Hi", 0, max_tokens=30)), [noise(3)]))
    texts = [str(text) for text in free[2:-1]]
    fresh = ((n, text) for n, text in enumerate(texts) if text.isascii() and text not in texts[:n])
    place, letter = next((n, text) for n, text in fresh if n > 3 and len(text) == 1)
    (end,) = engine._prompts.tokens.encode(letter, {})
    folder = with_settings(endless, tmp_path / "model", {"eos_token_id": [334, end]})
    result = ask(load(folder, **OFF), question("Hi", 0, max_tokens=30), noise(3))
    assert (result["finish_reason"], result["completion_tokens"]) == ("stop", place + 1)
    assert result["text"].rstrip("\ufffd") == "".join(texts[:place]).rstrip("\ufffd")


def test_stop_strings_end_the_answer(engine: OnnxVisionEngine) -> None:
    free = ask(engine, question("Hi", 0, max_tokens=30), noise(1))
    text = free["text"]
    for start in range(1, len(text) - 2, 3):
        stop = text[start : start + 2]
        result = ask(engine, question("Hi", 0, max_tokens=30, stop=["never", stop]), noise(1))
        assert result["text"] == text[: text.index(stop)]
        assert result["finish_reason"] == "stop"
        assert result["completion_tokens"] <= free["completion_tokens"]


def test_seeds(engine: OnnxVisionEngine) -> None:
    texts = [
        ask(engine, question("Hi", temperature=1.2, seed=seed))["text"] for seed in (1, 1, 2, 2**63 - 1, -5)
    ]
    assert texts[0] == texts[1]
    assert len(set(texts)) == 4
    greedy = ask(engine, question("Hi"))["text"]
    assert ask(engine, question("Hi", temperature=1.5, top_k=1, seed=3))["text"] == greedy
    assert ask(engine, question("Hi", temperature=1.5, top_p=0.0, seed=3))["text"] == greedy


def test_penalties_and_bias_reach_the_answer(engine: OnnxVisionEngine) -> None:
    plain = ask(engine, question("Hi", max_tokens=40))["text"]
    for name, value in (
        ("frequency_penalty", 2.0),
        ("presence_penalty", 2.0),
        ("repetition_penalty", 1.8),
        ("logit_bias", {str(token): -100 for token in range(100, 200)}),
    ):
        assert ask(engine, question("Hi", max_tokens=40, **{name: value}))["text"] != plain
    only = ask(engine, question("Hi", max_tokens=3, logit_bias={"334": 100}))
    assert (only["text"], only["finish_reason"], only["completion_tokens"]) == ("", "stop", 1)


def test_the_context_is_counted_to_the_token(engine: OnnxVisionEngine) -> None:
    base = ask(engine, question("", 0, max_tokens=1), noise(0))["prompt_tokens"]
    room = CONTEXT - base
    token = "!"
    whole = ask(engine, question(token * (room - 1), 0, max_tokens=50), noise(0))
    assert (whole["prompt_tokens"], whole["completion_tokens"]) == (CONTEXT - 1, 1)
    with pytest.raises(InvalidParameter) as caught:
        engine.run(vision_request(question(token * room, 0, max_tokens=50)), [noise(0)])
    assert caught.value.code == "context_length_exceeded"
    assert f"take {CONTEXT}: {CONTEXT - 6} of text and 6 of 1 images" in caught.value.message


def test_oldest_turns_are_dropped_with_their_images(engine: OnnxVisionEngine) -> None:
    long = "x! " * 120
    turns = [say("user", 0, long), say("assistant", "No."), say("user", 1, long), say("assistant", "Yes.")]
    last = [say("user", 2, "And this?")]
    request = {"messages": [say("system", "Be short."), *turns, *last], "max_tokens": 8, "temperature": 0}
    images = [noise(0, 2, 2), noise(1), noise(2)]
    with pytest.raises(InvalidParameter):
        engine.run(vision_request(request), images)
    first, *_, end = engine.run(vision_request({**request, "context_policy": "drop_oldest"}), images)
    assert isinstance(first, EngineStarted)
    assert isinstance(end, VisionResult)
    assert first.dropped_messages == 2
    assert first.image_tokens == 12
    kept = {**request, "messages": [say("system", "Be short."), *turns[2:], *last]}
    assert end.text == ask(engine, kept, *images)["text"]


def test_text_only_and_images_change_answers(engine: OnnxVisionEngine) -> None:
    answers = {ask(engine, question(0, "What?"), noise(number))["text"] for number in range(4)}
    assert len(answers) > 2
    assert ask(engine, question("What?"))["image_tokens"] == 0


def test_an_image_that_the_decoder_process_did_not_make(engine: OnnxVisionEngine) -> None:
    with pytest.raises(ValueError, match="multiples of 12"):
        engine.run(vision_request(question(0)), [np.zeros((12, 13, 3), np.uint8)])


def test_scores_that_are_not_numbers(engine: OnnxVisionEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    model = engine._model
    assert model is not None
    monkeypatch.setattr(
        type(model.stages.embed), "__call__", lambda _, ids: np.full((1, len(ids), 48), np.nan, np.float32)
    )
    with pytest.raises(EngineFailed):
        ask(engine, question("Hi"))
