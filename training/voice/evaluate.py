"""How often the model says what is true of a list."""

from __future__ import annotations

import random
from collections import defaultdict

import torch

from training.voice.batches import Words, batch_of
from training.voice.model import Voice, say
from training.voice.samples import SHARES, Sample, fitting_list, sample_of

Figures = dict[str, tuple[int, int, list[tuple[str, str, str]]]]


def figures(voice: Voice, words: Words, count: int, seed: int, *, held: bool = False) -> Figures:
    """Right answers, cases and misses (prompt, answer, truth) for each kind."""
    rng = random.Random(f"measure {seed}")
    kinds = list(SHARES)
    samples = []
    for number in range(count):
        kind = kinds[number % len(kinds)]
        things = fitting_list(kind, rng)
        samples.append(sample_of(things, kind, rng, held=held))
    return answered(voice, words, samples)


def answered(voice: Voice, words: Words, samples: list[Sample]) -> Figures:
    """What the model says to the samples."""
    voice.eval()
    found: dict[str, list[bool]] = defaultdict(list)
    misses: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    encoded = sorted((words.encoded(sample) for sample in samples), key=lambda each: each.cost)
    for first in range(0, len(encoded), 32):
        part = encoded[first : first + 32]
        batch = batch_of(part, whole=True)
        with torch.autocast("cpu", torch.bfloat16):
            tokens = say(voice, batch.things, batch.prompts, most=max(len(each.target) for each in part) + 12)
        for each, row in zip(part, tokens.tolist(), strict=True):
            said = row[1:]
            said = said[: said.index(2) + 1] if 2 in said else said
            right = said == each.target
            found[each.sample.kind].append(right)
            if not right:
                text = words.answers.decode([token for token in said if token > 3], skip_special_tokens=False)
                misses[each.sample.kind].append((each.sample.prompt, text, each.sample.answer))
    return {kind: (sum(row), len(row), misses[kind]) for kind, row in sorted(found.items())}


def told(found: Figures) -> str:
    """The shares in percent on a line, the whole first."""
    right, cases = sum(row[0] for row in found.values()), sum(row[1] for row in found.values())
    parts = [f"{kind} {100 * row[0] / row[1]:.0f}" for kind, row in found.items()]
    return f"right {100 * right / cases:.1f}: " + ", ".join(parts)
