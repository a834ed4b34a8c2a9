"""Beam search against trying all answers; against transformers itself: tests/oracle/test_tasks_live.py."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hailo_common.errors import EngineFailed
from hailo_florence.engine import FlorenceEngine
from hailo_florence.model.beams import BeamSearch, best, log_softmax
from hailo_florence.model.generation import Generation, GenerationConfig, LengthLimits
from hailo_florence.protocol import FlorenceRequest, FlorenceResult
from tests.hailo_florence.cases import FOLDERS, formula_image
from tests.hailo_florence.conftest import Load

END, WORDS = 0, 4
RULES = GenerationConfig(start=3, eos=(END,), forced_eos=END, early_stopping="never", length_penalty=0.0)


class Table:
    """Scores that depend on all tokens so far."""

    def __init__(self, seed: int, tokens: tuple[int, ...] = ()) -> None:
        self.seed, self.tokens = seed, tokens

    def step(self, token: int) -> NDArray[np.float32]:
        self.tokens += (token,)
        return self.scores(self.tokens)

    def scores(self, tokens: tuple[int, ...]) -> NDArray[np.float32]:
        random = np.random.Generator(np.random.PCG64([self.seed, *tokens]))
        return random.standard_normal(WORDS).astype(np.float32) * 2

    def fork(self) -> Table:
        return Table(self.seed, self.tokens)


def search(seed: int, beams: int, longest: int, rules: GenerationConfig = RULES) -> Generation:
    answer = Generation()
    told = list(BeamSearch(rules, LengthLimits(longest), beams).run(Table(seed), answer))
    assert [each for each in told if isinstance(each, int)] == answer.tokens
    return answer


def likelihood(seed: int, tokens: tuple[int, ...], longest: int) -> float:
    """The sum of log-probabilities of an answer; the end at the limit is certain."""
    table, whole, total = Table(seed), (RULES.start, *tokens), 0.0
    for place, token in enumerate(tokens):
        if place < longest:
            total += float(log_softmax(table.scores(whole[: place + 1]))[token])
    return total


@pytest.mark.parametrize("seed", range(20))
def test_many_beams_find_the_likeliest_answer(seed: int) -> None:
    """Without a penalty, and with as many beams as there are answers, it is a search of all of them."""
    longest = 3
    every = [
        (*words, END)
        for count in range(longest + 1)
        for words in itertools.product(range(1, WORDS), repeat=count)
    ]
    likeliest = max(every, key=lambda tokens: likelihood(seed, tokens, longest))
    assert tuple(search(seed, 40, longest).tokens) == likeliest


@pytest.mark.parametrize(("longest", "reason"), [(1, "length"), (30, "stop")])
def test_an_answer_that_is_cut_says_so(longest: int, reason: str) -> None:
    never = replace(RULES, min_length=5)
    answer = search(1, 3, longest, never if longest == 1 else RULES)
    assert (answer.finish_reason, answer.tokens[-1]) == (reason, END)


def test_a_limit_without_a_forced_end_gives_no_more_than_asked_for() -> None:
    answer = search(2, 3, 2, replace(RULES, forced_eos=None, min_length=9))
    assert len(answer.tokens) == 2
    assert answer.finish_reason == "length"


def test_scores_that_are_no_numbers() -> None:
    class Broken(Table):
        def scores(self, tokens: tuple[int, ...]) -> NDArray[np.float32]:
            return np.full(WORDS, np.nan, np.float32)

    with pytest.raises(EngineFailed):
        list(BeamSearch(RULES, LengthLimits(5), 2).run(Broken(1), Generation()))


@settings(deadline=None)
@given(st.lists(st.integers(-5, 5), min_size=1, max_size=30), st.integers(1, 40))
def test_best_is_a_stable_order(values: list[int], count: int) -> None:
    ordered = sorted(range(len(values)), key=lambda place: -values[place])
    assert best(np.array(values, np.float32), count).tolist() == ordered[:count]


def answer_of(engine: FlorenceEngine, beams: int = 1) -> FlorenceResult:
    request = FlorenceRequest(task="caption", max_length=12, num_beams=beams)
    *_, last = engine.run(request, [formula_image(64, 1)])
    assert isinstance(last, FlorenceResult)
    return last


def test_the_engine_searches_where_it_is_asked_to(load: Load) -> None:
    engine = load(FOLDERS["random-a"])
    assert answer_of(engine, 4).raw != answer_of(engine).raw
    assert answer_of(engine, 4).raw == answer_of(engine, 4).raw
