"""Parameters of an answer, and the chip's choice of the next token.

Source: HailoRT's `post_process.cpp`: temperature, then the penalty on every token generated since the context
was cleared, then argmax, or a draw among the `top_k` best of which `top_p` keeps the likeliest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hailo_chip.settings import is_old
from hailo_chip.statuses import failed
from hailo_chip.violations import violation

RANDOM_SEED = 2**32 - 1
_UNSIGNED = ("top_k", "max_generated_tokens", "seed")
_REAL = ("temperature", "top_p", "frequency_penalty")


class LLMGeneratorParams:
    """The library's defaults for a VLM; refuses wrong types, as pybind does."""

    def __init__(self) -> None:
        self.temperature = 0.01
        self.top_p = 0.1
        self.top_k = 1
        self.frequency_penalty = 1.0
        self.max_generated_tokens = 1024
        self.do_sample = False
        self.seed = RANDOM_SEED

    def __setattr__(self, name: str, value: Any) -> None:
        integral = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if name in _UNSIGNED:
            fits = integral and 0 <= int(value) <= RANDOM_SEED
        elif name in _REAL:
            fits = integral or isinstance(value, (float, np.floating))
        elif name == "do_sample":
            fits = isinstance(value, bool)
        else:
            raise AttributeError(f"'LLMGeneratorParams' object has no attribute {name!r}")
        if not fits:
            raise TypeError(f"LLMGeneratorParams.{name}: incompatible function arguments")
        object.__setattr__(self, name, value)

    def check(self) -> None:
        """Raise status 2 as the client does."""
        least = 1 if is_old() else 0
        if not (
            self.temperature > 0
            and 0 <= self.top_p <= 1
            and self.top_k >= 1
            and self.frequency_penalty != 0
            and self.max_generated_tokens >= least
            and not math.isnan(self.temperature)
        ):
            raise failed("INVALID_ARGUMENT")


class MersenneTwister:
    """`std::mt19937` with what `std::discrete_distribution` of libstdc++ draws from it."""

    def __init__(self, seed: int | None) -> None:
        self._bits = np.random.MT19937()
        self._bits._legacy_seeding(seed)  # type: ignore[arg-type]  # None draws one, which the stubs leave out

    def __call__(self) -> int:
        """The next 32 bits."""
        return int(self._bits.random_raw())

    def draw(self, weights: NDArray[np.float64]) -> int:
        """An index, as likely as its weight; of one there is nothing to draw."""
        if len(weights) < 2:
            return 0
        # `generate_canonical` of a double takes two draws, the first one as the lower half.
        low, high = self(), self()
        share = (low + high * 2.0**32) / 2.0**64
        cumulative = np.cumsum(weights / weights.sum())
        cumulative[-1] = 1.0
        return int(np.searchsorted(cumulative, min(share, np.nextafter(1.0, 0.0)), side="left"))


class Chooser:
    """Chooses the tokens of one answer."""

    def __init__(self, params: LLMGeneratorParams, vocabulary: int) -> None:
        """Fails the test for more candidates than the model has tokens: the chip reads past its scores."""
        if params.do_sample and params.top_k > vocabulary:
            violation(
                f"top_k={params.top_k} with a vocabulary of {vocabulary}: the chip reads past its scores"
            )
        self._params = params
        self._random = MersenneTwister(None if params.seed == RANDOM_SEED else params.seed)

    def choose(self, scores: NDArray[np.float32], history: Iterable[int]) -> int:
        """The next token from the scores, (vocabulary,), which change."""
        params = self._params
        scores /= np.float32(params.temperature)
        for token in history if params.frequency_penalty != 1 else ():
            penalty = np.float32(params.frequency_penalty)
            scores[token] = scores[token] / penalty if scores[token] > 0 else scores[token] * penalty
        if not params.do_sample:
            return int(scores.argmax())
        kept = np.argsort(scores, kind="stable")[-params.top_k :]  # worst first
        weights = _softmax(scores[kept])
        likely = np.cumsum(weights) > 1 - params.top_p
        likely[-1] = True
        weights = _softmax(scores[kept][likely])
        return int(kept[likely][self._random.draw(weights)])


def _softmax(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    weights = np.exp(scores.astype(np.float64) - float(scores.max()))
    made: NDArray[np.float64] = weights / weights.sum()
    return made
