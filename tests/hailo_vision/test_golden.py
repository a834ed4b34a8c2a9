"""Token for token what transformers answered, as recorded by `tests/oracle/make_golden.py`."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

import pytest

from hailo_common.inference import onnx_loop
from hailo_vision.onnx import session
from hailo_vision.onnx.engine import make_onnx_engine
from hailo_vision.onnx.families.qwen2_vl import family
from tests.hailo_vision.conversations import (
    FOLDERS,
    KINDS,
    Conversation,
    ask,
    decoded,
    demo_is_there,
    folder_of,
    golden_file,
    images_of,
)

DEMO_ROWS = 200


def rows(name: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(golden_file(name).read_text(encoding="utf-8"))["rows"]
    return listed


@pytest.mark.parametrize("name", [*FOLDERS, "demo"])
def test_answers(name: str) -> None:
    if name == "demo" and not demo_is_there():
        pytest.skip("hailo_vision/demo_model is not there yet")
    listed = rows(name)
    assert {row["kind"] for row in listed} == set(KINDS)
    assert len(listed) >= (DEMO_ROWS if name == "demo" else 5 * len(KINDS))
    with closing(make_onnx_engine({"model_dir": str(folder_of(name)), "threads": 1})) as engine:
        target = engine.load().to_json()["resize"]
        for row in listed:
            conversation = Conversation.from_json(row)
            answer = ask(
                engine, conversation, [decoded(image, target) for image in images_of(name, conversation)]
            )
            assert answer.tokens == row["tokens"], conversation
            assert answer.result["text"] == row["text"], conversation
            assert "".join(answer.texts) == row["text"], conversation
            assert answer.result["prompt_tokens"] == row["prompt_tokens"], conversation
            assert answer.result["completion_tokens"] == len(row["tokens"]), conversation


@pytest.mark.parametrize("name", FOLDERS)
def test_answers_as_models_of_real_size_give_them(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images in several blocks of queries, prompts in several chunks."""
    monkeypatch.setattr(family, "FEW_SCORES", 0)
    monkeypatch.setattr(onnx_loop, "QUERIES", 7)
    monkeypatch.setattr(session, "CHUNK", 5)
    test_answers(name)
