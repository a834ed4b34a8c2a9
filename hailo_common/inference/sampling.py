"""Choosing the next token: what both services do to scores, then argmax or a draw.

Nothing here knows a model, a tokenizer or a backend. Source of the semantics: transformers 5.23,
`generation/logits_process.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hailo_common.errors import EngineFailed

Logits = NDArray[np.float32]
"""One score for each entry of the vocabulary, shape (vocabulary,)."""

_BINS, _BINS_PER_NAT = 2048, 64  # what is 32 nats below the best is next to never drawn: one bin will do


def check_finite(logits: Logits) -> None:
    """Raise EngineFailed when a score is not a finite number.

    The sum is enough: it is finite only when every term is, and costs a third of `isfinite(...).all()`.
    """
    with np.errstate(invalid="ignore"):
        total = float(np.add.reduce(logits))
    if not math.isfinite(total):
        raise EngineFailed("The model produced values that are not numbers.", code="bad_device_output")


def penalize_repetition(logits: Logits, tokens: Sequence[int], penalty: float) -> None:
    """Divide positive and multiply negative scores of `tokens` by `penalty`, in place."""
    seen = np.unique(np.asarray(tokens, dtype=np.int64))
    seen = seen[seen < logits.size]
    scores = logits[seen]
    logits[seen] = np.where(scores < 0, scores * penalty, scores / penalty)


def ban(logits: Logits, tokens: Sequence[int]) -> None:
    """Set the scores of `tokens` to minus infinity, in place; ids beyond the vocabulary are ignored."""
    for token in tokens:
        if token < logits.size:
            logits[token] = -np.inf


class Chooser:
    """Picks one token from shaped scores: the best one at temperature 0, else a seeded draw.

    `top_k` keeps that many best tokens (0 keeps all), then `top_p` the fewest best ones whose probabilities
    reach it together (1 keeps all). The same seed, settings and scores give the same tokens on every machine:
    PCG64 and one `random()` for each token are the whole source of chance. `seed=None` takes fresh entropy.
    """

    def __init__(
        self, temperature: float = 0.0, seed: int | None = None, *, top_k: int = 0, top_p: float = 1.0
    ) -> None:
        self._temperature = temperature
        self._top_k, self._top_p = top_k, top_p
        self._random = np.random.Generator(np.random.PCG64(seed)) if temperature > 0 else None

    @property
    def greedy(self) -> bool:
        """True when the best score decides, so that their order is enough."""
        return self._random is None

    def choose(self, logits: Logits) -> int:
        """The next token id, from shape (vocabulary,); ties go to the lowest id."""
        best = int(logits.argmax())
        if self._random is None or logits[best] == -np.inf:
            return best
        chance, top_p = self._random.random(), self._top_p
        kept = self._best(logits)
        if kept is None and top_p < 1:
            return _draw_from_nucleus(logits, self._scaled(logits), top_p, chance)
        cumulative = np.cumsum(np.exp(self._scaled(logits if kept is None else logits[kept])))
        if top_p < 1:
            cumulative = cumulative[: 1 + int(np.searchsorted(cumulative, top_p * cumulative[-1]))]
        drawn = _place(cumulative, chance * cumulative[-1])
        return drawn if kept is None else int(kept[drawn])

    def _best(self, logits: Logits) -> NDArray[np.int64] | None:
        """The ids that `top_k` keeps, best first; None when it keeps all."""
        if not 0 < self._top_k < logits.size:
            return None
        threshold = np.partition(logits, -self._top_k)[-self._top_k]
        return _sorted(logits, np.flatnonzero(logits >= threshold))[: self._top_k]

    def _scaled(self, scores: Logits) -> NDArray[np.float64]:
        """Logarithms of the probabilities, up to a common summand."""
        scaled = scores.astype(np.float64)
        scaled -= scaled.max()
        scaled /= self._temperature
        return scaled


def _sorted(logits: Logits, ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """`ids`, the best first; of equal ones the lowest first."""
    return ids[np.argsort(-logits[ids], kind="stable")]


def _place(cumulative: NDArray[np.float64], drawn: float) -> int:
    """The entry in which `drawn` falls."""
    return min(int(np.searchsorted(cumulative, drawn, side="right")), cumulative.size - 1)


def _draw_from_nucleus(logits: Logits, scaled: NDArray[np.float64], top_p: float, chance: float) -> int:
    """The id in which `chance` falls among the fewest best ones that hold `top_p` together.

    As if all were sorted, the best first. Sorting a vocabulary takes 15 ms, so ids go into bins of like
    scores, and only two bins are sorted: where the nucleus ends, and where the draw falls.
    """
    bins = np.minimum(scaled * -_BINS_PER_NAT, _BINS - 1).astype(np.intp)
    weights = np.exp(scaled)
    sums = np.concatenate(([0.0], np.cumsum(np.bincount(bins, weights, _BINS))))

    def within(number: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        ids = _sorted(logits, np.flatnonzero(bins == number))
        return ids, sums[number] + np.cumsum(weights[ids])

    last = int(np.searchsorted(sums[1:], top_p * sums[-1]))
    ids, cumulative = within(last)
    cumulative = cumulative[: 1 + int(np.searchsorted(cumulative, top_p * sums[-1]))]
    drawn = chance * float(cumulative[-1])
    if drawn < sums[last]:
        ids, cumulative = within(_place(sums[1:], drawn))
    return int(ids[_place(cumulative, drawn)])
