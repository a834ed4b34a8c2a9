"""What fits into memory is told before it starts, and caches give way to it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hailo_common.errors import InvalidParameter, ModelError
from hailo_common.inference.model_dir import ModelDir
from hailo_common.owner import Store
from hailo_vision import memory
from hailo_vision.config import VisionSettings
from hailo_vision.memory import max_image_tokens
from hailo_vision.onnx.engine import OnnxVisionEngine, make_onnx_engine
from hailo_vision.onnx.families import read_family
from hailo_vision.onnx.memory import MemoryGuard, Need, check_load
from hailo_vision.protocol import VisionResult
from tests.hailo_vision.conversations import FOLDERS
from tests.hailo_vision.talk import question, vision_request

MB = 1 << 20
GIB = 1 << 30
A = FOLDERS["random-a"]


def engine(**options: Any) -> OnnxVisionEngine:
    return make_onnx_engine({"model_dir": str(A), "threads": 1, **options})


@pytest.mark.parametrize(
    ("machine", "limit", "tokens"),
    [(8, 4, 768), (7.6, 4, 768), (16, 4, 768), (16, 8, 1280), (4, 4, 384), (8, 1.5, 384), (2, 4, 192)],
)
def test_images_cost_what_the_machine_can_spare(
    machine: float, limit: float, tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "machine_bytes", lambda: int(machine * GIB))
    settings = VisionSettings(memory_max_mb=int(limit * 1024))
    assert max_image_tokens(settings) == tokens
    assert max_image_tokens(settings, tiled=True) == tokens // 2
    assert max_image_tokens(replace(settings, max_image_tokens=55), tiled=True) == 55
    assert max_image_tokens(replace(settings, max_image_tokens=55)) == 55


@pytest.mark.parametrize(("asked", "most"), [(0, 24), (7, 7), (10_000, 24), (1, 4)])
def test_an_image_takes_no_more_tokens_than_configured(asked: int, most: int) -> None:
    """Whatever the model's own bounds, of 4 to 24 tokens, say; but the least stays."""
    family = read_family(ModelDir(A), 0, asked)
    assert family.max_image_tokens == most
    for width, height in ((4000, 3000), (900, 1200), (31, 40)):
        size = family.resize.size_for(width, height)
        assert family.image_input(np.zeros((size[1], size[0], 3), np.uint8)).tokens <= most


def test_the_engine_tells_and_keeps_the_bound() -> None:
    with engine(max_image_tokens=9) as loaded:
        assert loaded.load().limits["image_tokens_max"] == 9


def test_a_model_that_cannot_fit_is_not_loaded() -> None:
    with engine(memory_max_mb=250) as small, pytest.raises(ModelError) as error:
        small.load()
    assert re.search(
        r"about \d+ MiB of memory, \d+ of them its weights.* may use 250: raise memory_max_mb",
        str(error.value),
    )


def test_weights_count_with_the_files_beside_them(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"x")
    (tmp_path / "a.onnx_data").touch()
    check_load([tmp_path / "a.onnx"], 400 * MB)
    with (tmp_path / "a.onnx_data").open("wb") as file:
        file.truncate(3 * GIB)
    with pytest.raises(ModelError, match=r"about 3360 MiB of memory, 3072 of them"):
        check_load([tmp_path / "a.onnx"], 2 * GIB)
    check_load([tmp_path / "a.onnx"], 0)


def test_half_precision_counts_as_what_it_becomes(tmp_path: Path) -> None:
    with (tmp_path / "a_fp16.onnx").open("wb") as file:
        file.truncate(GIB)
    with pytest.raises(ModelError, match="2048 of them its weights"):
        check_load([tmp_path / "a_fp16.onnx"], 2 * GIB)


def ask(loaded: OnnxVisionEngine, text: str, max_tokens: int) -> VisionResult:
    request = vision_request(question(text, max_tokens=max_tokens))
    *_, result = loaded.run(request, [])
    assert isinstance(result, VisionResult)
    return result


def test_an_answer_is_cut_to_what_memory_allows_and_a_prompt_is_refused() -> None:
    with engine() as loaded:
        loaded.load()
        assert loaded._model is not None
        token = loaded._model.stages.decoder.bytes_for(1)
        prompt = ask(loaded, "red", 1).prompt_tokens
        guard = loaded._memory = MemoryGuard(1 << 60, [], lambda: 0)
        guard._limit = guard._model + (prompt + 3) * token
        assert ask(loaded, "red", 50).completion_tokens <= 3
        guard._limit = guard._model + prompt * token
        with pytest.raises(InvalidParameter, match=rf"for {prompt + 1} tokens, beside") as error:
            ask(loaded, "red", 50)
        assert (error.value.code, error.value.param) == ("memory_exceeded", "messages")


def filled(nbytes: int) -> Store[int, int]:
    store: Store[int, int] = Store(10**9)
    for number in range(10):
        store.put(number, number, nbytes // 10)
    return store


def test_caches_give_way_to_a_request_the_oldest_first() -> None:
    first, second = filled(100 * MB), filled(100 * MB)
    guard = MemoryGuard(1000 * MB, [first, second], lambda: 500 * MB)
    guard.admit(Need(1, 10 * MB, 1, 10 * MB))
    assert (first.held, second.held) == (100 * MB, 100 * MB)
    guard.admit(Need(1, 150 * MB, 5, 72 * MB))
    assert (first.held, second.held) == (100 * MB, 50 * MB)
    assert [key for key, _ in second.items()] == [5, 6, 7, 8, 9]
    guard.admit(Need(1, 300 * MB, 5, 72 * MB))
    assert (first.held, second.held) == (0, 0)
    with pytest.raises(InvalidParameter, match="300 MiB of memory for 9 tokens and 73 for an image of 5,"):
        guard.admit(Need(9, 300 * MB, 5, 73 * MB))


def test_caches_go_when_memory_is_nearly_used_up_after_all() -> None:
    held = [100 * MB]
    cache = filled(50 * MB)
    guard = MemoryGuard(1000 * MB, [cache], lambda: held[0])
    guard.admit(Need(1, MB, 0, 0))
    assert cache.held == 50 * MB
    held[0] = 800 * MB
    guard.admit(Need(1, MB, 0, 0))
    assert cache.held == 0


def test_without_a_limit_everything_is_admitted() -> None:
    MemoryGuard(0, [], lambda: 10**15).admit(Need(1, 10**15, 0, 0))


def test_caches_take_a_share_of_the_limit() -> None:
    with engine(memory_max_mb=640, conversation_cache_mb=256, picture_cache_mb=64) as loaded:
        loaded.load()
        assert loaded._model is not None
        assert loaded._model.conversations.limit == 40 * MB
        assert loaded._model.images.limit == 10 * MB


def test_a_long_prompt_is_read_in_chunks_and_can_be_left_between_them() -> None:
    with engine() as loaded:
        loaded.load()
        request = vision_request(question("red circle " * 90, max_tokens=2))
        events = list(loaded.run(request, []))
        assert events[1] == "", "a chance to stop before the first token"
        result = events[-1]
        assert isinstance(result, VisionResult)
        assert result.prompt_tokens > 128
    with engine() as loaded:
        loaded.load()
        running = loaded.run(request, [])
        next(running), next(running)
        running.close()  # type: ignore[attr-defined]
        *_, again = loaded.run(request, [])
        assert isinstance(again, VisionResult)
        assert again.cached_tokens == 128, "what was read is not read again"
        assert again.text == result.text
