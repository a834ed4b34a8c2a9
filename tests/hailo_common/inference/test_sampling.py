"""The nucleus is that of a full sort, found without one."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from hailo_common.inference.sampling import Chooser, Logits

VOCABULARY = 151_936
RANDOM = np.random.default_rng(20261128)


def by_full_sort(logits: Logits, temperature: float, top_k: int, top_p: float, drawn: float) -> int:
    """What top_k and top_p mean, word for word: everything sorted, ties to the lowest id."""
    order = np.argsort(-logits, kind="stable")
    if top_k:
        order = order[:top_k]
    scaled = (logits[order].astype(np.float64) - float(logits.max())) / temperature
    cumulative = np.cumsum(np.exp(scaled))
    nucleus = cumulative[: 1 + int(np.searchsorted(cumulative, top_p * cumulative[-1], side="left"))]
    return int(order[min(np.searchsorted(nucleus, drawn * nucleus[-1], side="right"), nucleus.size - 1)])


def peaked() -> Logits:
    scores: Logits = (RANDOM.standard_normal(VOCABULARY) * 3).astype(np.float32)
    scores[RANDOM.integers(0, VOCABULARY, 20)] += np.float32(9)
    return scores


def banned() -> Logits:
    scores = peaked()
    scores[RANDOM.random(VOCABULARY) < 0.99] = -np.inf
    return scores


SCORES: dict[str, Callable[[], Logits]] = {
    "a few likely ones": peaked,
    "most of them banned": banned,
    "all alike": lambda: np.zeros(5000, np.float32),
    "many ties": lambda: RANDOM.integers(-4, 3, 20_000).astype(np.float32),
    "flat": lambda: RANDOM.random(20_000).astype(np.float32),
    "two words": lambda: np.array([0.5, 0.5], np.float32),
    "far apart": lambda: np.array([1000, -1000, 999, -np.inf], np.float32),
}


@pytest.mark.parametrize("kind", SCORES)
@pytest.mark.parametrize(("top_k", "top_p"), [(0, 0.01), (0, 0.5), (0, 0.9), (0, 0.999), (40, 0.9), (3, 1.0)])
def test_the_same_draws_as_from_a_full_sort(kind: str, top_k: int, top_p: float) -> None:
    for seed, temperature in enumerate((0.2, 0.8, 1.7)):
        scores = SCORES[kind]()
        chooser = Chooser(temperature, seed, top_k=top_k, top_p=top_p)
        chance = np.random.Generator(np.random.PCG64(seed))
        for _ in range(8):
            wanted = by_full_sort(scores, temperature, min(top_k, scores.size), top_p, chance.random())
            assert chooser.choose(scores) == wanted


def test_the_sum_of_many_equal_weights_ends_where_it_should() -> None:
    """Half of four equal ones is two: the first two ids, none more."""
    chooser = Chooser(1.0, 1, top_p=0.5)
    assert {chooser.choose(np.ones(4, np.float32)) for _ in range(200)} == {0, 1}


def seconds(chooser: Chooser, scores: NDArray[np.float32]) -> float:
    began = time.thread_time()
    for _ in range(5):
        chooser.choose(scores)
    return time.thread_time() - began


def test_top_p_costs_a_fraction_of_sorting_the_vocabulary() -> None:
    scores = peaked()
    chooser = Chooser(0.8, 1, top_p=0.95)
    chooser.choose(scores)
    began = time.thread_time()
    for _ in range(5):
        np.argsort(-scores, kind="stable")
    sorting = time.thread_time() - began
    assert min(seconds(chooser, scores) for _ in range(3)) < sorting / 4
