"""What the caches keep, forget and find; and that an answer is the same with and without them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hailo_common.owner import EVERYBODY, Store
from hailo_vision.onnx.cache import ConversationCache, history
from hailo_vision.onnx.engine import OnnxVisionEngine, make_onnx_engine
from hailo_vision.onnx.stages import KVCache
from hailo_vision.protocol import VisionResult
from tests.hailo_vision.conversations import FOLDERS
from tests.hailo_vision.talk import ask, noise, question, say, vision_request

A = FOLDERS["random-a"]
OFF = {"conversation_cache_mb": 0, "picture_cache_mb": 0}
Load = Any


def past(length: int) -> KVCache:
    """Values that say which token they belong to; 8 bytes a token."""
    return KVCache({"x": np.arange(length, dtype=np.int64).reshape(1, 1, length, 1)}, length)


def kept(*conversations: Sequence[int], limit: int = 10_000) -> ConversationCache:
    cache = ConversationCache(limit)
    for ids in conversations:
        cache.keep(history(ids, []), past(len(ids)))
    return cache


def found(cache: ConversationCache, ids: Sequence[int], most: int = 99) -> int:
    made = cache.find(history(ids, []), most)
    return 0 if made is None else made.values["x"].shape[2]


def test_the_longest_common_beginning_is_found() -> None:
    cache = kept([1, 2, 3, 4], [1, 2, 9, 9, 9], [5])
    assert found(cache, [1, 2, 3, 7]) == 3
    assert found(cache, [1, 2, 9, 9, 9, 9, 9]) == 5
    assert found(cache, [1, 2, 9, 9], most=3) == 3
    assert found(cache, [7]) == 0
    assert found(kept(), [1]) == 0


def test_images_are_compared_by_their_digest() -> None:
    first = history([1, 7, 7, 2, 7, 7, 3], [(1, b"a"), (4, b"b")])
    for images, common in (
        ([(1, b"a"), (4, b"b")], 7),
        ([(1, b"a"), (4, b"c")], 4),
        ([(1, b"c"), (4, b"b")], 1),
        ([(1, b"a")], 4),
        ([], 1),
    ):
        other = history([1, 7, 7, 2, 7, 7, 3], images)
        assert first.common(other) == other.common(first) == common
    assert first.common(history([1, 7, 7, 5], [(1, b"a")])) == 3


def test_a_continued_conversation_takes_the_place_of_its_beginning() -> None:
    cache = kept([1, 2], [3], [1, 2, 3, 4])
    assert cache.held == (4 + 1) * 16
    cache.keep(history([1, 2, 3], []), past(3))
    assert cache.held == (4 + 1) * 16


def test_memory_is_bounded_and_the_longest_unused_goes_first() -> None:
    cache = kept([1, 1], [2, 2], limit=64)
    assert found(cache, [1, 1]) == 2
    cache.keep(history([3, 3], []), past(2))
    assert [found(cache, [n, n]) for n in (1, 2, 3)] == [2, 0, 2]
    cache.keep(history([4] * 5, []), past(5))
    assert [found(cache, [n] * 5) for n in (1, 3, 4)] == [2, 2, 0]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 40)), max_size=30), st.integers(0, 100))
def test_a_store_never_holds_more_than_its_limit(puts: list[tuple[int, int]], limit: int) -> None:
    store: Store[int, int] = Store(limit)
    sizes: dict[int, int] = {}
    for key, size in puts:
        store.put(key, size, size)
        sizes[key] = size
        assert store.held == sum(size for _, size in store.items()) <= limit
        assert all(sizes[key] == size for key, size in store.items())
        assert (store.get(key) == size) == (size <= limit)


@pytest.fixture
def cached(load: Load) -> OnnxVisionEngine:
    """A fresh engine with caches."""
    engine = make_onnx_engine({"model_dir": str(A), "threads": 1})
    engine.load()
    return engine


TALK = [say("system", "Be short."), say("user", 0, "What is it?")]
STEPS = ("And then?", "Why?", "Is that so?")


def test_follow_up_questions_are_answered_alike(load: Load, folder: Any) -> None:
    """Every turn of several conversations, with all answers coming from the model itself."""
    plain, cached = load(folder, **OFF), load(folder)
    for number in range(6):
        messages, image = list(TALK), noise(number)
        for step in (*STEPS, None):
            request = {"messages": messages, "max_tokens": 9, "temperature": 0}
            expected, made = ask(plain, request, image), ask(cached, request, image)
            assert made["text"] == expected["text"]
            assert expected["cached_tokens"] == 0
            if len(messages) > 2:
                assert made["cached_tokens"] >= made["image_tokens"]
                assert made["cached_images"] == 1
                assert made["vision_seconds"] == 0
            if step:
                messages = [*messages, say("assistant", expected["text"]), say("user", step)]


def test_the_same_request_again_runs_one_token(cached: OnnxVisionEngine) -> None:
    request = question(0, "What is it?", temperature=1.5, seed=4)
    first, second = ask(cached, request, noise(1)), ask(cached, request, noise(1))
    assert first["text"] == second["text"]
    assert second["cached_tokens"] == second["prompt_tokens"] - 1


def test_another_image_is_looked_at(cached: OnnxVisionEngine) -> None:
    first = ask(cached, question(0, "What is it?"), noise(1))
    other = ask(cached, question(0, "What is it?"), noise(2))
    assert other["text"] != first["text"]
    assert 0 < other["cached_tokens"] < first["prompt_tokens"] - first["image_tokens"]
    assert other["cached_images"] == 0
    again = ask(cached, question("First:", 0, "Second:", 1), noise(2), noise(1))
    assert again["cached_images"] == 2


def test_turned_images_differ(cached: OnnxVisionEngine) -> None:
    """The same bytes in another shape are another picture."""
    image = noise(1, 2, 3)
    turned = image.reshape(36, 24, 3)
    ask(cached, question(0), image)
    assert ask(cached, question(0), turned)["cached_images"] == 0


def test_a_part_of_an_image_may_be_known(load: Load, cached: OnnxVisionEngine) -> None:
    """A reply that was cut in the middle of a picture's tokens still reads the rest of it."""
    request = question("What?", 0, "Why?")
    expected = ask(load(A, **OFF), request, noise(3))
    ask(cached, request, noise(3))
    conversations = cached._model.conversations.of(EVERYBODY)  # type: ignore[union-attr]
    ((key, item),) = conversations._store.items()
    start = item.tokens.images[0][0]
    for length in range(start - 1, start + 7):
        conversations._store.drop(key)
        ids = item.tokens.ids[:length].tolist()
        conversations.keep(history(ids, item.tokens.images[: length > start]), item.past.cut(length))
        made = ask(cached, request, noise(3))
        assert (made["text"], made["cached_tokens"]) == (expected["text"], length)
        for key, _ in conversations._store.items():
            conversations._store.drop(key)


def test_a_cancelled_answer_leaves_what_was_computed(load: Load, cached: OnnxVisionEngine) -> None:
    request = question(0, "What is it?", max_tokens=40)
    expected = ask(load(A, **OFF), request, noise(5))
    for steps in (1, 2, 3, 6, 9):
        events = cached.run(vision_request(request), [noise(5)])
        for _ in range(steps):
            next(events)
        events.close()  # type: ignore[attr-defined]
        made = ask(cached, request, noise(5))
        assert made["text"] == expected["text"]
    assert made["cached_tokens"] == made["prompt_tokens"] - 1


def test_caches_may_be_off_or_too_small(load: Load) -> None:
    for options in (OFF, {"conversation_cache_mb": 0.001, "picture_cache_mb": 0.0001}):
        engine = load(A, **options)
        for _ in range(2):
            result = ask(engine, question(0, "What is it?"), noise(1))
            assert (result["cached_tokens"], result["cached_images"]) == (0, 0)


def test_an_image_twice_in_a_request_is_encoded_once(cached: OnnxVisionEngine) -> None:
    *_, last = events = list(
        cached.run(vision_request(question(0, "and", 0, "and", 1)), [noise(1), noise(1)])
    )
    assert isinstance(last, VisionResult)
    assert last.image_tokens == 18
    assert len(events) == 1 + 1 + last.completion_tokens + 1
