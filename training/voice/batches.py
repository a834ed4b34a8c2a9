"""Batches of samples of like length, so that little is padding."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer

from training.florence.batches import padded
from training.florence.model import BOS, EOS, PAD
from training.things.encoder import A_GROUP, A_THING, GLOBALS, GROUPS, TOKENS, kept_tokens
from training.things.view import ROWS, tensor_rows
from training.voice.model import Batch
from training.voice.relevance import relevant
from training.voice.samples import Sample, draw
from training.voice.words import for_answers

POOL = 3000
WHOLE, SPARE = 0.06, 0.3
"""Shares of batches with every token of the lists, as the service has them, and with an empty place."""


@dataclass(frozen=True)
class Encoded:
    """A sample as numbers; `groups` and `things` count its kinds and rows."""

    sample: Sample
    prompt: list[int]
    target: list[int]
    groups: int
    things: int
    relevant: list[int] | None
    telling: int = -100

    @property
    def cost(self) -> int:
        """Tokens, those of the answer twice."""
        return (
            self.groups * A_GROUP + self.things * A_THING + GLOBALS + len(self.prompt) + 2 * len(self.target)
        )


class Words:
    """Both tokenizers, with what they have encoded."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.prompts, self.answers = tokenizer, for_answers(tokenizer)
        articles = [self.answers.encode(word).ids[1] for word in ("a", "an", " a", " an")]
        self._skipped = {BOS, PAD, EOS, *articles}

    def encoded(self, sample: Sample) -> Encoded:
        """The sample as numbers."""
        groups = len({thing.kind for thing in sample.things})
        prompt, target = self.prompts.encode(sample.prompt).ids, self.answers.encode(sample.answer).ids
        found = relevant(sample)
        telling = self._telling(target) if found and sample.kind.startswith("vqa ") else -100
        return Encoded(sample, prompt, target, min(groups, 10), len(sample.things), found, telling)

    def _telling(self, target: list[int]) -> int:
        """The first word of an answer that is no article."""
        return next((token for token in target if token not in self._skipped), -100)


def batch_of(chosen: list[Encoded], *, whole: bool = False, spare: int = 0) -> Batch:
    """One batch: only the places that its lists need and `spare` more, or `whole` lists."""
    groups = GROUPS if whole else min(GROUPS, spare + max(each.groups for each in chosen))
    rows = ROWS if whole else min(ROWS, spare + max(each.things for each in chosen))
    return Batch(
        torch.tensor([tensor_rows(each.sample.things)[: max(rows, 1)] for each in chosen]),
        padded([each.prompt for each in chosen], PAD),
        padded([each.target for each in chosen], PAD),
        max(groups, 1),
        _marks(chosen, max(groups, 1), max(rows, 1)),
        torch.tensor([each.telling for each in chosen]),
    )


def _marks(chosen: list[Encoded], groups: int, rows: int) -> torch.Tensor:
    """1 for tokens that an answer is taken from, 0 for others, -1 where that is not said."""
    marks = torch.full((len(chosen), TOKENS), -1.0)
    for row, each in enumerate(chosen):
        if each.relevant is not None:
            marks[row] = 0.0
            marks[row, each.relevant] = 1.0
    return marks[:, kept_tokens(groups, rows)]


def batches(words: Words, rng: random.Random, budget: int, most: int = ROWS) -> Iterator[Batch]:
    """Batches without end, of about `budget` tokens, of lists of at most so many things."""
    while True:
        pool = [words.encoded(draw(rng, most)) for _ in range(POOL)]
        pool.sort(key=lambda each: each.cost * rng.uniform(0.8, 1.25))
        parts, part = [], [pool[0]]
        for each in pool[1:]:
            most = max(other.cost for other in (*part, each))
            if most * (len(part) + 1) > budget:
                parts.append(part)
                part = []
            part.append(each)
        rng.shuffle(parts)
        for chosen in parts:
            yield batch_of(chosen, whole=rng.random() < WHOLE, spare=int(rng.random() < SPARE))
