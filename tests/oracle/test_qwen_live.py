"""The Qwen2-VL engine and its parts against transformers, live: committed, fresh and demo models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from hailo_common.inference.model_dir import ModelDir
from hailo_vision.onnx.engine import make_onnx_engine
from hailo_vision.onnx.families.qwen2_vl.config import read_model_config
from hailo_vision.onnx.families.qwen2_vl.family import Qwen2VL, mrope_positions
from hailo_vision.onnx.families.qwen2_vl.preprocess import (
    ImageSettings,
    Patcher,
    read_image_settings,
)
from hailo_vision.onnx.prompt import Prompt, Prompts
from tests.hailo_vision.conversations import (
    FOLDERS,
    SIZES,
    Conversation,
    ask,
    conversations,
    decoded,
    demo_is_there,
    folder_of,
    formula_image,
    images_of,
)
from tests.hailo_vision.talk import vision_request

if TYPE_CHECKING:
    from tests.oracle.reference_qwen import Reference

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("default")]
SEED = 11
COUNT = 209
FRESH = 44


@dataclass(frozen=True)
class Both:
    """One model here and in transformers."""

    name: str
    folder: Path
    reference: Reference
    count: int

    @property
    def settings(self) -> ImageSettings:
        """What becomes of a picture."""
        folder = ModelDir(self.folder)
        shape = read_model_config(folder)
        return read_image_settings(folder, shape, shape.positions)

    def conversations(self) -> Iterator[Conversation]:
        """Those that this model is asked."""
        return conversations(self.name, self.count, SEED)


@pytest.fixture(scope="module", params=[*FOLDERS, "demo", "everyday", "fresh c", "fresh d"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Both:
    from tests.oracle.reference_qwen import Reference  # noqa: PLC0415 - needs torch
    from training.chat.qwen_random import write_random_model  # noqa: PLC0415

    name = str(request.param)
    if name.startswith("fresh"):
        folder = tmp_path_factory.mktemp("fresh")
        return Both(name, folder, Reference(folder, write_random_model(folder, fresh(name), SEED)), FRESH)
    if name == "everyday":
        return everyday()
    if name == "demo" and not demo_is_there():
        pytest.skip("hailo_vision/demo_model is not there yet")
    return Both(name, folder_of(name), Reference(folder_of(name)), COUNT)


def everyday() -> Both:
    """The model whose eye is a graph, which transformers runs as it is."""
    from tests.oracle.reference_qwen import Reference  # noqa: PLC0415 - needs torch
    from training.everyday.checkpoint import load_model  # noqa: PLC0415

    folder = folder_of("everyday")
    if not folder.is_dir():
        pytest.skip("hailo_vision/everyday_model is not there yet")
    return Both("everyday", folder, Reference(folder, load_model(folder)), COUNT)


def fresh(name: str) -> Any:
    """Other shapes than the committed ones."""
    from training.chat.qwen_random import SIZES, Vision  # noqa: PLC0415 - needs torch

    if name.endswith("c"):
        vision = Vision(1, 16, 1, 4, patch=14, pixels=(28 * 28, 28 * 28 * 9))
        return replace(SIZES["a"], vision=vision, width=32, layers=1, heads=(2, 2), sections=(3, 3, 2))
    vision = Vision(4, 32, 4, 2, patch=5, temporal=3, pixels=(100, 3000))
    return replace(SIZES["b"], vision=vision, width=64, layers=4, heads=(8, 4), sections=(1, 1, 2), tied=True)


def test_answers(both: Both) -> None:
    """Token for token, in greedy decoding."""
    from tests.oracle.expect_qwen import expected  # noqa: PLC0415 - needs torch

    asked = 0
    with closing(make_onnx_engine({"model_dir": str(both.folder), "threads": 1})) as engine:
        target = engine.load().to_json()["resize"]
        for conversation in both.conversations():
            truth = expected(both.reference, both.name, conversation)
            images = [decoded(image, target) for image in images_of(both.name, conversation)]
            answer = ask(engine, conversation, images)
            assert answer.tokens == truth["tokens"], conversation
            assert answer.result["text"] == truth["text"], conversation
            assert answer.result["prompt_tokens"] == truth["prompt_tokens"], conversation
            asked += 1
    assert asked >= (FRESH if both.name.startswith("fresh") else 200)


def prompt_of(both: Both, prompts: Prompts, conversation: Conversation) -> Prompt:
    settings = both.settings
    shown = [
        Qwen2VL(ModelDir(both.folder), 0).image_input(decoded(image, settings.target().to_json()))
        for image in images_of(both.name, conversation)
    ]
    return prompts.make(vision_request(conversation.request()).messages, shown)


def test_prompts_and_positions(both: Both) -> None:
    """Ids as apply_chat_template and the tokenizer give them, positions as get_rope_index does."""
    folder, settings = ModelDir(both.folder), both.settings
    prompts = Prompts(folder, read_model_config(folder).image_token)
    for conversation in both.conversations():
        theirs = both.reference.inputs(conversation.messages, images_of(both.name, conversation))
        ours = prompt_of(both, prompts, conversation)
        assert ours.ids == theirs["input_ids"][0].tolist(), conversation
        if conversation.images:
            made, following = mrope_positions(len(ours.ids), ours.spans, settings.merge)
            assert np.array_equal(made, both.reference.positions(theirs)), conversation
            assert following == made.max() + 1


def test_pixel_values(both: Both) -> None:
    from tests.oracle.reference_qwen import image_processor  # noqa: PLC0415 - needs torch

    settings, processor = both.settings, image_processor(both.folder)
    patcher = Patcher(settings, np.dtype(np.float32))
    for number, (width, height) in enumerate((*SIZES, (640, 480), (481, 1279))):
        sent = formula_image((width, height, number % 6))
        image = decoded(sent, settings.target().to_json())
        theirs = processor(sent, return_tensors="np")
        assert list(settings.grid(image)) == theirs["image_grid_thw"][0].tolist()
        assert np.abs(patcher(image) - theirs["pixel_values"]).max() < 1e-6, (width, height)
