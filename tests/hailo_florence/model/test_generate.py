"""The decoding loop against a decoder that follows a script: where it ends, and why."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from hailo_common.errors import EngineFailed
from hailo_common.inference.sampling import Chooser
from hailo_florence.model.generation import (
    Generation,
    GenerationConfig,
    LengthLimits,
    default_minimum,
    generate,
)

FORCED = GenerationConfig(start=2, eos=(2,), bos=0, forced_bos=0, forced_eos=2)
FREE = GenerationConfig(start=2, eos=(2,), bos=0)
EOS, WORD, BOS = 2, 9, 0


class Script:
    """Prefers the scripted tokens in turn; `WORD` comes second whatever happens."""

    def __init__(self, tokens: Sequence[int], poison: int = -1) -> None:
        self.tokens, self.poison, self.fed = list(tokens), poison, list[int]()

    def step(self, token: int) -> NDArray[np.float32]:
        place = len(self.fed)
        self.fed.append(token)
        scores = np.zeros(12, np.float32)
        scores[WORD] = 1
        scores[self.tokens[place] if place < len(self.tokens) else WORD] = 2
        if place == self.poison:
            scores[5] = np.nan
        return scores


def run(script: Script, rules: GenerationConfig, longest: int, shortest: int | None = None) -> Generation:
    answer = Generation()
    yielded = list(generate(script, rules, LengthLimits(longest, shortest), Chooser(), answer))
    assert yielded == answer.tokens
    return answer


@pytest.mark.parametrize("rules", [FORCED, FREE])
@pytest.mark.parametrize("words", [1, 2, 5])
@pytest.mark.parametrize("slack", [-1, 0, 1])
def test_limit_is_exact(rules: GenerationConfig, words: int, slack: int) -> None:
    longest = words + slack
    if longest < 1:
        return
    answer = run(Script([BOS, *[3 + i for i in range(words)], EOS]), rules, longest)
    kept = min(words, longest)
    assert [token for token in answer.tokens if token not in (BOS, EOS)] == [3 + i for i in range(kept)]
    assert answer.finish_reason == ("stop" if slack >= 0 else "length")


def test_cut_ends_with_the_forced_end_or_nothing() -> None:
    assert run(Script([BOS]), FORCED, 2).tokens == [BOS, WORD, WORD, EOS]
    assert run(Script([BOS]), FREE, 2).tokens == [BOS, WORD, WORD]
    assert run(Script([WORD]), FREE, 2).tokens == [WORD, WORD]


def test_of_several_ends_the_forced_one_stands_at_the_limit() -> None:
    rules = GenerationConfig(start=2, eos=(2, 7), bos=0, forced_bos=0, forced_eos=2)
    answer = run(Script([BOS, 3, 7]), rules, 1)
    assert (answer.tokens, answer.finish_reason) == ([BOS, 3, 2], "stop")
    assert run(Script([BOS, 3, 7]), rules, 2).tokens == [BOS, 3, 7]


@pytest.mark.parametrize("lead", [[], [BOS]])
@pytest.mark.parametrize("shortest", [0, 1, 3])
def test_minimum_is_exact(lead: list[int], shortest: int) -> None:
    answer = run(Script([*lead, *[EOS] * 20]), FREE, 10, shortest)
    assert answer.tokens == [*lead, *[WORD] * shortest, EOS]


@pytest.mark.parametrize(("own", "words"), [(0, 0), (2, 0), (3, 1), (6, 4)])
def test_own_minimum_counts_start_and_bos(own: int, words: int) -> None:
    rules = GenerationConfig(start=2, eos=(2,), bos=0, forced_bos=0, forced_eos=2, min_length=own)
    assert default_minimum(rules) == words
    assert run(Script([BOS, *[EOS] * 20]), rules, 10).tokens == [BOS, *[WORD] * words, EOS]


def test_request_may_ask_for_less_than_the_own_minimum() -> None:
    rules = GenerationConfig(start=2, eos=(2,), bos=0, forced_bos=0, min_length=8)
    assert run(Script([BOS, EOS]), rules, 10, 0).tokens == [BOS, EOS]


def test_limit_wins_over_minimum() -> None:
    rules = GenerationConfig(start=2, eos=(2,), bos=0, forced_bos=0, forced_eos=2, min_length=30)
    answer = run(Script([BOS, *[EOS] * 20]), rules, 3)
    assert (answer.tokens, answer.finish_reason) == ([BOS, WORD, WORD, WORD, EOS], "length")


def test_each_token_is_fed_back() -> None:
    script = Script([BOS, 3, 4, EOS])
    run(script, FORCED, 10)
    assert script.fed == [2, BOS, 3, 4]


def test_closing_stops_the_decoder() -> None:
    script = Script([BOS])
    tokens = generate(script, FORCED, LengthLimits(100), Chooser(), Generation())
    next(tokens)
    next(tokens)
    tokens.close()  # type: ignore[attr-defined]
    assert len(script.fed) == 2


def test_values_that_are_not_numbers_end_the_answer() -> None:
    with pytest.raises(EngineFailed) as caught:
        run(Script([BOS], poison=3), FORCED, 10)
    assert caught.value.code == "bad_device_output"
