"""Penalties and biases by the definitions of those who invented them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hailo_common.errors import EngineFailed
from hailo_common.inference.sampling import Chooser, Logits
from hailo_vision.protocol import Sampling
from hailo_vision.text.generation import Penalties, Picker


def shaped(
    sampling: Sampling, prompt: list[int], answer: list[int], *, repetition: float = 1.0
) -> list[float]:
    """Scores 2, -1, 0, 4, -2 after the penalties."""
    penalties = Penalties(sampling, repetition, prompt)
    for token in answer:
        penalties.add(token)
    logits: Logits = np.array([2, -1, 0, 4, -2], np.float32)
    penalties.apply(logits)
    return [round(float(score), 5) for score in logits]


def test_nothing_asked_changes_nothing() -> None:
    assert shaped(Sampling(), [0, 1], [3, 4]) == [2, -1, 0, 4, -2]


def test_repetition_takes_prompt_and_answer_once() -> None:
    assert shaped(Sampling(repetition=2.0), [0, 0, 4], [4, 3, 3]) == [1, -1, 0, 2, -4]


def test_the_models_own_penalty_holds_where_none_is_named() -> None:
    assert shaped(Sampling(), [1], [], repetition=2.0) == [2, -2, 0, 4, -2]
    assert shaped(Sampling(repetition=1.0), [1], [], repetition=2.0) == [2, -1, 0, 4, -2]


def test_frequency_counts_and_presence_does_not_and_neither_looks_at_the_prompt() -> None:
    assert shaped(Sampling(frequency=0.5), [0, 1], [3, 3, 4]) == [2, -1, 0, 3, -2.5]
    assert shaped(Sampling(presence=0.5), [0, 1], [3, 3, 4]) == [2, -1, 0, 3.5, -2.5]
    assert shaped(Sampling(frequency=-1.0, presence=1.0), [], [3, 3]) == [2, -1, 0, 5, -2]


def test_bias_is_added_last_and_ids_beyond_the_vocabulary_are_ignored() -> None:
    made = shaped(Sampling(repetition=2.0, bias={0: 1.5, 2: -100.0, 99: 5.0}), [0], [])
    assert made == [2.5, -1, -100, 4, -2]


def test_scores_that_are_not_numbers() -> None:
    picker = Picker(Penalties(Sampling(), 1.0, []), Chooser(), None)
    with pytest.raises(EngineFailed):
        picker.pick(np.array([1, np.nan], np.float32))


SCORES: Logits = np.log(np.array([0.1, 0.4, 0.05, 0.25, 0.2], np.float32))


def drawn(**settings: float) -> list[int]:
    """The tokens that 400 draws with these settings give."""
    chooser = Chooser(settings.pop("temperature", 1.0), 1, **settings)  # type: ignore[arg-type]
    return sorted({chooser.choose(SCORES.copy()) for _ in range(400)})


@pytest.mark.parametrize(
    ("settings", "tokens"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"top_k": 1}, [1]),
        ({"top_k": 3}, [1, 3, 4]),
        ({"top_k": 99}, [0, 1, 2, 3, 4]),
        ({"top_p": 0.0}, [1]),
        ({"top_p": 0.39}, [1]),
        ({"top_p": 0.6}, [1, 3]),
        ({"top_p": 0.7}, [1, 3, 4]),
        ({"top_p": 0.7, "top_k": 2}, [1, 3]),
        ({"top_p": 0.9, "temperature": 0.3}, [1, 3]),
    ],
)
def test_top_k_and_top_p(settings: dict[str, float], tokens: list[int]) -> None:
    assert drawn(**settings) == tokens


def test_ties_at_the_border_of_top_k_go_to_the_lowest_ids() -> None:
    chooser = Chooser(1.0, 1, top_k=2)
    assert {chooser.choose(np.zeros(6, np.float32)) for _ in range(100)} == {0, 1}


@given(st.integers(0, 2**32), st.floats(0.1, 3), st.integers(0, 5), st.floats(0, 1))
def test_the_same_seed_gives_the_same_tokens(seed: int, temperature: float, top_k: int, top_p: float) -> None:
    runs = []
    for _ in range(2):
        chooser = Chooser(temperature, seed, top_k=top_k, top_p=top_p)
        runs.append([chooser.choose(SCORES.copy()) for _ in range(5)])
    assert runs[0] == runs[1]


def test_frequencies_of_draws() -> None:
    chooser = Chooser(1.0, 3, top_p=0.8)
    counts = np.bincount([chooser.choose(SCORES.copy()) for _ in range(8000)], minlength=5) / 8000
    np.testing.assert_allclose(counts, [0, 0.4 / 0.85, 0, 0.25 / 0.85, 0.2 / 0.85], atol=0.02)
