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
        kept = self._kept(logits)
        scores = logits if kept is None else logits[kept]
        scaled = (scores.astype(np.float64) - float(logits[best])) / self._temperature
        cumulative = np.cumsum(np.exp(scaled))
        if kept is not None and self._top_p < 1:
            cumulative = _nucleus(cumulative, self._top_p)
        drawn = int(np.searchsorted(cumulative, self._random.random() * cumulative[-1], side="right"))
        drawn = min(drawn, cumulative.size - 1)
        return drawn if kept is None else int(kept[drawn])

    def _kept(self, logits: Logits) -> NDArray[np.int64] | None:
        """The ids that `top_k` and `top_p` may keep, best first; None when all are kept."""
        limited = 0 < self._top_k < logits.size
        if not limited and self._top_p >= 1:
            return None
        if not limited:
            return np.argsort(-logits, kind="stable")
        threshold = np.partition(logits, -self._top_k)[-self._top_k]
        candidates = np.flatnonzero(logits >= threshold)
        return candidates[np.argsort(-logits[candidates], kind="stable")][: self._top_k]


def _nucleus(cumulative: NDArray[np.float64], top_p: float) -> NDArray[np.float64]:
    """The shortest beginning that holds `top_p` of the whole sum; one entry at least."""
    return cumulative[: 1 + int(np.searchsorted(cumulative, top_p * cumulative[-1], side="left"))]
