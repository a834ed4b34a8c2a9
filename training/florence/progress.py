"""How well a model does while it trains: greedy answers on a few held-out scenes."""

from __future__ import annotations

import random
from collections import defaultdict

import torch
from tokenizers import Tokenizer
from transformers import Florence2ForConditionalGeneration

from training.florence.batches import padded
from training.florence.model import PAD
from training.florence.objectives import say
from training.scenes.dataset import Drawn, normalised
from training.scenes.language import CAPTION_PROMPTS, KINDS, captions, question
from training.scenes.scenes import Scene

Case = tuple[str, str, list[str]]


def cases_of(scene: Scene, rng: random.Random) -> list[Case]:
    """The caption and one question of each kind: kind, prompt and the accepted texts."""
    found: list[Case] = [(f"caption {len(scene.things)}", CAPTION_PROMPTS[0], captions(scene))]
    for kind in KINDS:
        asked = question(scene, kind, rng)
        if asked is not None:
            found.append((asked.kind, f"<VQA>{asked.text}", [asked.answer]))
    return found


@torch.no_grad()
def measure(
    model: Florence2ForConditionalGeneration, tokenizer: Tokenizer, drawn: Drawn, scenes: range
) -> dict[str, tuple[int, int]]:
    """Right answers and cases for each kind."""
    tally: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    model.eval()
    for first in range(scenes.start, scenes.stop, 50):
        chosen = range(first, min(first + 50, scenes.stop))
        pixels = torch.from_numpy(normalised(drawn.images[chosen.start : chosen.stop]))
        features = model.get_image_features(pixels).pooler_output
        cases = [
            (row, case)
            for row, i in enumerate(chosen)
            for case in cases_of(drawn.scenes[i], random.Random(i))
        ]
        prompts = padded([tokenizer.encode(prompt).ids for _, (_, prompt, _) in cases], PAD)
        said = say(model, features[[row for row, _ in cases]], prompts)
        for answer, (_, (kind, _, accepted)) in zip(
            tokenizer.decode_batch(said.tolist()), cases, strict=True
        ):
            tally[kind][0] += answer.strip() in accepted
            tally[kind][1] += 1
    model.train()
    return {kind: (right, cases) for kind, (right, cases) in sorted(tally.items())}


def summary(tally: dict[str, tuple[int, int]]) -> str:
    """The shares in percent on one line."""
    return ", ".join(f"{kind} {100 * right / cases:.1f}" for kind, (right, cases) in tally.items())
