"""Choosing the next token: Hugging Face's logits processors as numpy functions, then argmax or a draw.

Nothing here knows a model, a tokenizer or a backend. `Rules` is what a model's generation settings say,
`Limits` what one request adds. Beams are not supported: `num_beams` is ignored.

Source of the semantics and of their order: transformers 5.23, `generation/logits_process.py` and
`GenerationMixin._get_logits_processor`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hailo_common.errors import EngineFailed

Logits = NDArray[np.float32]
"""One score for each entry of the vocabulary, shape (vocabulary,)."""


@dataclass(frozen=True)
class Rules:
    """Generation settings of a model; token ids index the vocabulary, lengths count as Hugging Face does.

    `min_length` counts the start token and a forced BOS, as `generation_config.json` does.
    """

    start: int
    eos: tuple[int, ...]
    bos: int | None = None
    pad: int | None = None
    forced_bos: int | None = None
    forced_eos: int | None = None
    min_length: int = 0
    no_repeat_ngram: int = 0
    repetition_penalty: float = 1.0
    bad_words: tuple[tuple[int, ...], ...] = ()
    suppress: tuple[int, ...] = ()
    begin_suppress: tuple[int, ...] = ()


def check_finite(logits: Logits) -> None:
    """Raise EngineFailed when a score is not a finite number.

    The sum is enough: it is finite only when every term is, and costs a third of `isfinite(...).all()`.
    """
    with np.errstate(invalid="ignore"):
        total = float(np.add.reduce(logits))
    if not math.isfinite(total):
        raise EngineFailed("The model produced values that are not numbers.", code="bad_device_output")


def penalise_repetition(logits: Logits, tokens: Sequence[int], penalty: float) -> None:
    """Divide positive and multiply negative scores of `tokens` by `penalty`, in place."""
    seen = np.unique(np.asarray(tokens, dtype=np.int64))
    seen = seen[seen < logits.size]
    scores = logits[seen]
    logits[seen] = np.where(scores < 0, scores * penalty, scores / penalty)


def repeated(tokens: Sequence[int], size: int) -> list[int]:
    """Tokens that would complete an n-gram of `size` that already stands in `tokens` (start included)."""
    length = len(tokens)
    if length < size:
        return []
    tail = list(tokens[length + 1 - size :])
    starts = range(length - size + 1)
    return [tokens[i + size - 1] for i in starts if list(tokens[i : i + size - 1]) == tail]


def completing(tokens: Sequence[int], words: Sequence[tuple[int, ...]]) -> list[int]:
    """Last tokens of those `words` (sequences of ids) whose other tokens end `tokens`."""
    return [
        word[-1]
        for word in words
        if len(word) - 1 <= len(tokens) and tuple(tokens[len(tokens) - len(word) + 1 :]) == word[:-1]
    ]


def ban(logits: Logits, tokens: Sequence[int]) -> None:
    """Set the scores of `tokens` to minus infinity, in place; ids beyond the vocabulary are ignored."""
    for token in tokens:
        if token < logits.size:
            logits[token] = -np.inf


def shape_scores(logits: Logits, tokens: Sequence[int], rules: Rules, min_length: int) -> None:
    """Apply the model's rules to `logits` in place.

    `tokens` is the decoder's sequence so far, the start token first. `min_length` counts like `tokens`:
    the end of sequence is banned while `len(tokens) < min_length`.
    """
    if rules.repetition_penalty != 1.0:
        penalise_repetition(logits, tokens, rules.repetition_penalty)
    if rules.no_repeat_ngram:
        ban(logits, repeated(tokens, rules.no_repeat_ngram))
    if rules.bad_words:
        ban(logits, completing(tokens, rules.bad_words))
    if len(tokens) < min_length:
        ban(logits, rules.eos)
    if len(tokens) == 1 and rules.forced_bos is not None:
        force(logits, rules.forced_bos)
    ban(logits, rules.suppress)
    if len(tokens) == (1 if rules.forced_bos is None else 2):
        ban(logits, rules.begin_suppress)


def force(logits: Logits, token: int) -> None:
    """Leave `token` as the only possible choice, in place."""
    logits.fill(-np.inf)
    logits[token] = 0.0


class Chooser:
    """Picks one token from shaped scores: the best one at temperature 0, else a seeded draw.

    The same seed, temperature and scores give the same tokens on every machine: PCG64 and one `random()`
    for each token are the whole source of chance. `seed=None` takes fresh entropy.
    """

    def __init__(self, temperature: float = 0.0, seed: int | None = None) -> None:
        self._temperature = temperature
        self._random = np.random.Generator(np.random.PCG64(seed)) if temperature > 0 else None

    def choose(self, logits: Logits) -> int:
        """The next token id, from shape (vocabulary,); ties go to the lowest id."""
        best = int(logits.argmax())
        if self._random is None or logits[best] == -np.inf:
            return best
        scaled = (logits.astype(np.float64) - float(logits[best])) / self._temperature
        cumulative = np.cumsum(np.exp(scaled))
        drawn = int(np.searchsorted(cumulative, self._random.random() * cumulative[-1], side="right"))
        return min(drawn, logits.size - 1)
