"""The everyday model as the service's engine runs it: about a photograph, and about no picture at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hailo_common.config.common_keys import CommonSettings
from hailo_common.engine.contract import EngineInfo, RgbImage
from hailo_common.images.decode import decode
from hailo_common.service import image_limits
from hailo_vision.onnx.engine import OnnxVisionEngine, make_onnx_engine
from hailo_vision.protocol import ChatMessage, Sampling, VisionRequest, VisionResult
from tests.hailo_vision.conversations import EVERYDAY

PHOTOGRAPH = Path(__file__).parents[2] / "data" / "eye" / "astronaut.png"
MOST_BYTES = 20_000_000


@pytest.fixture(scope="module")
def engine() -> Iterator[OnnxVisionEngine]:
    with make_onnx_engine({"model_dir": str(EVERYDAY), "backend": "cpu", "threads": 1}) as made:
        made.load()
        yield made


@pytest.fixture(scope="module")
def info(engine: OnnxVisionEngine) -> EngineInfo:
    return engine.load()


@pytest.fixture(scope="module")
def photograph(info: EngineInfo) -> RgbImage:
    made = decode(PHOTOGRAPH.read_bytes(), info.resize, image_limits(CommonSettings()))
    return np.frombuffer(made.rgb, np.uint8).reshape(made.height, made.width, 3)


def ask(engine: OnnxVisionEngine, text: str, *images: RgbImage, schema: Any = None) -> VisionResult:
    request = VisionRequest(
        messages=(ChatMessage("user", (*range(len(images)), text)),),
        max_tokens=200,
        sampling=Sampling(seed=0, repetition=1.0),
        response_format=None if schema is None else {"type": "json_schema", "schema": schema},
    )
    *_, last = engine.run(request, images)
    assert isinstance(last, VisionResult)
    assert last.finish_reason == "stop", last.text
    return last


def test_it_says_what_it_is_and_how_to_get_more(info: EngineInfo) -> None:
    assert info.demo
    assert "80 everyday things" in info.description
    assert "hailo-ctl models fetch" in info.description
    assert sum(path.stat().st_size for path in EVERYDAY.rglob("*") if path.is_file()) <= MOST_BYTES


def test_a_photograph_of_a_person(engine: OnnxVisionEngine, photograph: RgbImage) -> None:
    assert "person" in ask(engine, "Describe the image.", photograph).text
    assert ask(engine, "Is there a person?", photograph).text.startswith("Yes")
    assert ask(engine, "Is there a horse?", photograph).text == "No, I see no horse."
    assert ask(engine, "How many people are there?", photograph).text == "A person."


def test_a_schema_that_the_question_does_not_mention(engine: OnnxVisionEngine, photograph: RgbImage) -> None:
    keys = {"person": {"type": "boolean"}, "horse": {"type": "boolean"}, "description": {"type": "string"}}
    schema = {"type": "object", "properties": keys, "required": list(keys), "additionalProperties": False}
    value = json.loads(ask(engine, "Look at the camera.", photograph, schema=schema).text)
    assert (value["person"], value["horse"]) == (True, False)
    assert "person" in value["description"]


@pytest.mark.parametrize("text", ["Hi", "Who are you?", "Turn on the light in the kitchen."])
def test_without_a_picture_it_asks_for_one(engine: OnnxVisionEngine, text: str) -> None:
    assert "end me" in ask(engine, text).text


def test_the_folder_has_a_readme() -> None:
    assert "80" in (EVERYDAY / "README.md").read_text(encoding="utf-8")
