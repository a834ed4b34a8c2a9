"""Qwen3-VL on the chip: a wide frame, one image in a request, its own template; answers in circles."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hailo_common.images.resize import ResizeSpec
from hailo_vision.npu.completion import LoopGuard
from hailo_vision.npu.grid import grid, gridded
from hailo_vision.onnx.engine import OnnxVisionEngine, make_onnx_engine
from hailo_vision.protocol import ChatMessage
from tests.hailo_sim.make import make_qwen3_folder
from tests.hailo_sim.vision import QWEN3_TEMPLATE
from tests.hailo_vision.conversations import DEMO, decoded
from tests.hailo_vision.npu.serving import DESCRIBE, Npu, content, error_of, scene, serving, user
from tests.hailo_vision.talk import ask, question
from tests.npu import Machine

VERSIONS = ("5.3.0", "5.4.0")
WIDE = (512, 288)
FRAME = ResizeSpec(*WIDE, fit="letterbox")


@pytest.fixture(scope="module")
def wide_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_qwen3_folder(tmp_path_factory.mktemp("qwen3") / "model")


@pytest.fixture(scope="module")
def wide_cpu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnnxVisionEngine]:
    """The demo model on the CPU with that template, for the same pixels."""
    folder = tmp_path_factory.mktemp("cpu") / "model"
    shutil.copytree(DEMO, folder)
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": QWEN3_TEMPLATE}))
    options = {"model_dir": str(folder), "threads": 1, "conversation_cache_mb": 0, "picture_cache_mb": 0}
    with make_onnx_engine(options) as engine:
        engine.load()
        yield engine


def truth(cpu: OnnxVisionEngine, image: Image.Image) -> str:
    frame = decoded(image, FRAME.to_json())
    return str(ask(cpu, question(0, DESCRIBE, max_tokens=40), frame)["text"])


@pytest.fixture(scope="module", params=VERSIONS)
def qwen3(
    request: pytest.FixtureRequest, wide_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Npu]:
    folder = tmp_path_factory.mktemp(f"qwen3-{request.param}")
    with Machine(folder, version=request.param) as machine, serving(machine, wide_model) as running:
        yield running


def test_it_answers_as_the_cpu_does_about_the_same_pixels(qwen3: Npu, wide_cpu: OnnxVisionEngine) -> None:
    answers = set()
    for number in (20, 22, 25):
        image = scene(number, WIDE)
        said = content(qwen3.post([user(image, DESCRIBE)], max_tokens=40))
        assert said == truth(wide_cpu, image)
        answers.add(said)
    assert len(answers) > 1
    assert qwen3.service.health()["limits"]["max_images"] == 1


def test_a_second_image_is_refused(qwen3: Npu, wide_cpu: OnnxVisionEngine) -> None:
    reply = qwen3.post([user(scene(20), scene(22), DESCRIBE)])
    error = error_of(reply)
    assert (reply.status_code, error["code"]) == (400, "too_many_images")
    image = scene(22, WIDE)
    assert content(qwen3.post([user(image, DESCRIBE)], max_tokens=40)) == truth(wide_cpu, image)


def test_or_put_beside_the_first_one_by_a_key(
    wide_model: Path, tmp_path: Path, wide_cpu: OnnxVisionEngine
) -> None:
    with (
        Machine(tmp_path, version="5.4.0") as machine,
        serving(machine, wide_model, extra_images="grid") as npu,
    ):
        assert npu.service.health()["limits"]["max_images"] == 16
        image = scene(22, WIDE)
        assert content(npu.post([user(image, DESCRIBE)], max_tokens=40)) == truth(wide_cpu, image)
        reply = npu.post([user(scene(20), scene(22), DESCRIBE)], max_tokens=8)
        assert content(reply)
        details = reply.json()["usage"]["prompt_tokens_details"]
        assert details["image_tokens"] == npu.service.health()["limits"]["image_tokens_max"]


def test_a_grid_has_each_image_in_its_place() -> None:
    images = [np.full((8, 16, 3), 10 * (number + 1), np.uint8) for number in range(3)]
    made = grid(images)
    assert made.shape == (8, 16, 3)
    assert [made[0, 0, 0], made[0, 15, 0], made[7, 0, 0], made[7, 15, 0]] == [10, 20, 30, 0]
    assert np.array_equal(grid(images[:1]), images[0])
    many = grid([np.full((8, 16, 3), number, np.uint8) for number in range(16)])
    assert [many[0, 15, 0], many[7, 0, 0], many[7, 15, 0]] == [3, 12, 15]
    halves = np.zeros((8, 16, 3), np.uint8)
    halves[::2] = 200
    assert set(np.unique(grid([halves, halves])[:4, :8])) == {100}


def test_a_grid_stands_where_its_first_image_did() -> None:
    first, second = gridded(
        [ChatMessage("user", (0, 1, "Which is red?")), ChatMessage("user", (2, "And this?"))], 3
    )
    assert [part for part in (*first.parts, *second.parts) if isinstance(part, int)] == [0]
    assert "grid of 3 pictures" in str(first.parts[1])
    assert second.parts[0] == "(picture 3)"


@pytest.mark.parametrize(
    ("chunks", "cut"),
    [
        (["The", " cat", " sat", "."] * 60, True),
        (["no"] * 200, True),
        ([f"word {number}" for number in range(400)], False),
        (["A", " list"] * 20, False),
        ([""] * 200, False),
    ],
    ids=["a sentence", "a word", "a long answer", "a short repetition", "nothing to show"],
)
def test_an_answer_that_goes_in_circles_is_cut(chunks: list[str], cut: bool) -> None:
    guard = LoopGuard()
    assert any([guard.add(chunk) for chunk in chunks]) is cut
