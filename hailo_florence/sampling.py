"""Choosing the next token: Hugging Face's logits processors as numpy functions.

Nothing here knows a model, a tokenizer or a backend. `Rules` is what a model's generation settings say,
`Limits` what one request adds. Beams are not supported: `num_beams` is ignored.

Source of the semantics and of their order: transformers 5.23, `generation/logits_process.py` and
`GenerationMixin._get_logits_processor`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hailo_common.sampling import Logits, ban, penalise_repetition


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


def shape_scores(logits: Logits, tokens: Sequence[int], rules: Rules, min_length: int) -> None:
    """Apply the model's rules to `logits` in place.

    `tokens` is the decoder's sequence so far, the start token first. `min_length` counts like `tokens`:
    the end of sequence is banned while `len(tokens) < min_length`.
    """
    if rules.repetition_penalty != 1.0:
        penalise_repetition(logits, tokens, rules.repetition_penalty)
    forced = forced_token(tokens, rules)
    if forced is not None:
        force(logits, forced)
    ban(logits, banned(tokens, rules, min_length))


def forced_token(tokens: Sequence[int], rules: Rules) -> int | None:
    """The token that has to come next whatever its score, if there is one."""
    return rules.forced_bos if len(tokens) == 1 else None


def banned(tokens: Sequence[int], rules: Rules, min_length: int) -> list[int]:
    """Tokens that may not come next, of those that the scores decide; counts as `shape_scores` does."""
    found = list(rules.suppress)
    if len(tokens) == (1 if rules.forced_bos is None else 2):
        found += rules.begin_suppress
    if forced_token(tokens, rules) is not None:
        return found
    if rules.no_repeat_ngram:
        found += repeated(tokens, rules.no_repeat_ngram)
    if rules.bad_words:
        found += completing(tokens, rules.bad_words)
    if len(tokens) < min_length:
        found += rules.eos
    return found


def force(logits: Logits, token: int) -> None:
    """Leave `token` as the only possible choice, in place."""
    logits.fill(-np.inf)
    logits[token] = 0.0
