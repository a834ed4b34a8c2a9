"""Choosing the tokens of one answer: penalties, biases and the answer's form, then argmax or a draw.

Sources of the semantics: transformers 5.23 for `repetition` (prompt and answer, once for each token),
OpenAI's API reference for `frequency`, `presence` (answer only, counted) and the bias.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from hailo_common.inference.sampling import Chooser, Logits, check_finite, penalize_repetition
from hailo_vision.onnx.grammar import Constraint
from hailo_vision.protocol import Sampling


class Penalties:
    """Penalties and biases of one answer in the making."""

    def __init__(self, sampling: Sampling, repetition: float, prompt: Sequence[int]) -> None:
        """`repetition` is the model's own penalty, for requests that name none."""
        self._sampling = sampling
        self._repetition = repetition if sampling.repetition is None else sampling.repetition
        self._seen: dict[int, None] = dict.fromkeys(prompt if self._repetition != 1 else ())
        self._counts: Counter[int] = Counter()

    def apply(self, logits: Logits) -> None:
        """Change the scores (vocabulary,) of the next token in place."""
        if self._repetition != 1:
            penalize_repetition(logits, list(self._seen), self._repetition)
        if self._counts and (self._sampling.frequency or self._sampling.presence):
            tokens = np.fromiter(self._counts, np.int64, len(self._counts))
            counts = np.fromiter(self._counts.values(), np.float32, len(self._counts))
            logits[tokens] -= counts * self._sampling.frequency + self._sampling.presence
        for token, bias in self._sampling.bias.items():
            if token < logits.size:
                logits[token] += bias

    def add(self, token: int) -> None:
        """Count a token that was chosen."""
        self._counts[token] += 1
        if self._repetition != 1:
            self._seen[token] = None


class Picker:
    """Chooses the tokens of one answer."""

    def __init__(self, penalties: Penalties, chooser: Chooser, constraint: Constraint | None) -> None:
        self._penalties = penalties
        self._chooser = chooser
        self._constraint = constraint

    def pick(self, logits: Logits) -> int:
        """The next token from its scores (vocabulary,), which change; raises EngineFailed for NaN."""
        check_finite(logits)
        self._penalties.apply(logits)
        if self._constraint is not None:
            np.putmask(logits, ~self._constraint.allowed(), -np.inf)
        token = self._chooser.choose(logits)
        self._penalties.add(token)
        if self._constraint is not None:
            self._constraint.add(token)
        return token

    @property
    def finished(self) -> bool:
        """True when the answer's form allows nothing more."""
        return self._constraint is not None and self._constraint.finished
