"""Put the head that is missed least to new work: `python -m training.voice.wire OLD.pt DIR NEW.pt`.

The encoder marks the tokens that an answer is taken from (`relevance`) long before the decoder finds out that
it can look there. Here the head of the decoder's first two layers without which the loss rises least begins
to look at what is marked, and brings back what of it goes into the words of the answer.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from training.voice.batches import Encoded, Words, batch_of, batches
from training.voice.model import Batch, Voice, loss_of
from training.voice.samples import draw
from training.voice.train_voice import load, make

_LAYERS, _SHARP, _TOLD = 2, 1.5, 0.5
_CASES, _LEAST = 3000, 10.0
_LEFT_OUT = ("a", "an", "and", ",")


def _rows(attention: Any, head: int) -> slice:
    return slice(head * attention.head_dim, (head + 1) * attention.head_dim)


@torch.no_grad()
def least_missed(voice: Voice, attentions: list[Any], seen: list[Batch]) -> tuple[int, int]:
    """Which of these layers of attention, and the head there without which the loss rises least."""
    found = {}
    for number, attention in enumerate(attentions):
        for head in range(attention.num_heads):
            columns = attention.out_proj.weight[:, _rows(attention, head)]
            kept = columns.clone()
            columns.zero_()
            found[number, head] = sum(loss_of(voice, batch).item() for batch in seen) / len(seen)
            columns.copy_(kept)
            print(f"without {number}.{head}: {found[number, head]:.4f}", flush=True)
    return min(found, key=lambda place: found[place])


def _asked(words: Words, rng: random.Random) -> Iterator[Encoded]:
    """Samples whose answer is taken from marked tokens, without end."""
    while True:
        made = words.encoded(draw(rng, 10))
        if made.relevant and made.sample.kind.startswith("vqa "):
            yield made


@torch.no_grad()
def carried(voice: Voice, words: Words) -> torch.Tensor:
    """[width, width]: from states of marked tokens to the words of the answer, as near as a matrix comes."""
    given = _asked(words, random.Random("wire"))
    skipped = {words.answers.encode(f" {word}").ids[1] for word in _LEFT_OUT} | {0, 1, 2}
    inputs, outputs = [], []
    for _ in range(_CASES // 50):
        chosen = [next(given) for _ in range(50)]
        batch = batch_of(chosen)
        states, _ = voice.read(batch.things, batch.prompts, batch.groups)
        marks = (batch.marks > 0).float()[:, :, None]
        inputs.append((states[:, : marks.shape[1]] * marks).sum(1) / marks.sum(1))
        said = [[token for token in each.target if token not in skipped] for each in chosen]
        outputs.append(torch.stack([voice.words.weight[row].sum(0) for row in said]))
    given_states, wanted = torch.cat(inputs), torch.cat(outputs)
    given_states, wanted = given_states - given_states.mean(0), wanted - wanted.mean(0)
    square = given_states.T @ given_states + _LEAST * torch.eye(given_states.shape[1])
    return torch.linalg.solve(square, given_states.T @ wanted).T


@torch.no_grad()
def look_at_marked(voice: Voice, attention: Any, head: int, told: torch.Tensor) -> None:
    """A head of the decoder; `told` is what it brings back, [width, width]."""
    rows = _rows(attention, head)
    root = (_SHARP / attention.scaling) ** 0.5
    for linear in (attention.q_proj, attention.k_proj, attention.v_proj):
        linear.weight[rows], linear.bias[rows] = 0.0, 0.0
    attention.q_proj.bias[rows.start] = root
    attention.k_proj.weight[rows.start] = root * voice.relevance.weight[0]
    left, strength, right = torch.linalg.svd(told)
    root_strength = strength[: attention.head_dim].sqrt()
    attention.v_proj.weight[rows] = root_strength[:, None] * right[: attention.head_dim]
    attention.out_proj.weight[:, rows] = _TOLD * left[:, : attention.head_dim] * root_strength


def main() -> None:
    """Wire a checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", type=Path, help="checkpoint")
    parser.add_argument("folder", type=Path, help="of the training, with its tokenizer")
    parser.add_argument("new", type=Path, help="checkpoint to write")
    options = parser.parse_args()
    torch.set_num_threads(1)
    voice, words = make(options.folder, 1)
    saved = load(voice, options.old)
    drawn = batches(words, random.Random("missed"), 5500)
    seen = [next(drawn) for _ in range(6)]
    layers = voice.florence.model.language_model.decoder.layers[:_LAYERS]
    attentions = [layer.encoder_attn for layer in layers]
    number, head = least_missed(voice, attentions, seen)
    look_at_marked(voice, attentions[number], head, carried(voice, words))
    torch.save(saved | {"model": voice.state_dict()}, options.new)


if __name__ == "__main__":
    main()
