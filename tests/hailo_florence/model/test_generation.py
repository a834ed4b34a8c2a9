from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hailo_common.errors import EngineFailed
from hailo_common.inference.sampling import Chooser, Logits, check_finite, penalize_repetition
from hailo_florence.model.generation import GenerationConfig, completing, repeated, shape_scores

RULES = GenerationConfig(start=2, eos=(2,), bos=0)


def scores(*values: float) -> Logits:
    return np.array(values, np.float32)


def banned(logits: Logits) -> list[int]:
    return [int(index) for index in np.flatnonzero(np.isneginf(logits))]


@pytest.mark.parametrize(
    ("tokens", "size", "expected"),
    [
        ([2, 5, 6, 2, 5], 3, [6]),  # the start token counts
        ([2, 5, 6, 2, 5], 2, [6]),
        ([2, 5, 6], 1, [2, 5, 6]),
        ([2, 5], 3, []),
        ([5, 5], 2, [5]),
        ([5, 5, 5], 3, [5]),
        ([1, 2, 3, 1, 2, 4, 1, 2], 3, [3, 4]),
        ([], 1, []),
        ([2], 2, []),
    ],
)
def test_repeated(tokens: list[int], size: int, expected: list[int]) -> None:
    assert repeated(tokens, size) == expected


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), max_size=20), st.integers(1, 4))
def test_repeated_is_what_would_repeat(tokens: list[int], size: int) -> None:
    grams = {tuple(tokens[i : i + size]) for i in range(len(tokens) - size + 1)}
    would = {token for token in range(4) if tuple([*tokens, token][-size:]) in grams and len(tokens) >= size}
    assert set(repeated(tokens, size)) == would


def test_completing_bad_words() -> None:
    words = [(7,), (5, 6), (9, 5, 8), (2, 9, 5, 4, 1)]
    assert completing([2, 9, 5], words) == [7, 6, 8]


def test_repetition_penalty_moves_scores_down_whatever_their_sign() -> None:
    logits = scores(2, -2, 3, 1)
    penalize_repetition(logits, [0, 1, 1, 99], 2.0)
    assert logits.tolist() == [1, -4, 3, 1]


@pytest.mark.parametrize(("length", "minimum", "expected"), [(2, 3, [2]), (3, 3, []), (4, 3, []), (1, 0, [])])
def test_minimum_bans_the_end(length: int, minimum: int, expected: list[int]) -> None:
    logits = scores(0, 0, 9, 0)
    shape_scores(logits, [3] * length, RULES, minimum)
    assert banned(logits) == expected


def test_forced_bos_only_first() -> None:
    rules = GenerationConfig(start=2, eos=(2,), bos=0, forced_bos=1)
    first, second = scores(9, 0, 0), scores(9, 0, 0)
    shape_scores(first, [2], rules, 0)
    shape_scores(second, [2, 1], rules, 0)
    assert (int(first.argmax()), int(second.argmax())) == (1, 0)


@pytest.mark.parametrize(("forced", "length"), [(None, 1), (0, 2)])
def test_begin_suppress_meets_the_first_free_token(forced: int | None, length: int) -> None:
    rules = GenerationConfig(start=2, eos=(2,), forced_bos=forced, suppress=(1,), begin_suppress=(3,))
    for count, expected in ((length, [1, 3]), (length + 1, [1])):
        logits = scores(0, 0, 0, 0, 0)
        shape_scores(logits, [4] * count, rules, 0)
        assert banned(logits) == expected


def test_ids_beyond_the_vocabulary_are_ignored() -> None:
    logits = scores(0, 0)
    shape_scores(logits, [2, 9], GenerationConfig(start=2, eos=(2,), suppress=(77,), no_repeat_ngram=1), 5)
    assert np.isfinite(logits).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 70_000])
def test_values_that_are_not_numbers_are_refused(value: float, place: int) -> None:
    logits = np.zeros(70_001, np.float32)
    logits[place] = value
    with pytest.raises(EngineFailed) as caught:
        check_finite(logits)
    assert caught.value.code == "bad_device_output"


def test_both_infinities_are_refused() -> None:
    with pytest.raises(EngineFailed):
        check_finite(scores(np.inf, -np.inf))


def test_finite_values_pass() -> None:
    check_finite(np.full(51_289, -65504, np.float32))


def test_greedy_takes_the_first_of_equals() -> None:
    assert Chooser().choose(scores(1, 3, 3)) == 1


def test_same_seed_same_draws() -> None:
    logits = np.linspace(0, 1, 100).astype(np.float32)
    draws = [[chooser.choose(logits) for _ in range(50)] for chooser in (Chooser(1.0, 5), Chooser(1.0, 5))]
    assert draws[0] == draws[1]
    other = Chooser(1.0, 6)
    assert draws[0] != [other.choose(logits) for _ in range(50)]


@pytest.mark.parametrize("temperature", [1e-9, 0.1, 1.0, 1e9])
def test_banned_tokens_are_never_drawn(temperature: float) -> None:
    logits = np.full(50, -np.inf, np.float32)
    logits[[3, 30]] = 1.0, 2.0
    chooser = Chooser(temperature, 1)
    assert {chooser.choose(logits) for _ in range(200)} <= {3, 30}


def test_draws_follow_the_softmax() -> None:
    logits = np.log(np.array([1, 2, 7], np.float32))
    chooser = Chooser(1.0, 3)
    counts = np.bincount([chooser.choose(logits) for _ in range(20_000)], minlength=3) / 20_000
    assert np.abs(counts - [0.1, 0.2, 0.7]).max() < 0.02


def test_nothing_left_gives_the_first_token() -> None:
    assert Chooser(1.0, 1).choose(scores(-np.inf, -np.inf)) == 0
