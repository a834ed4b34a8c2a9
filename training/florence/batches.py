"""Batches of pictures, labels and texts, drawn anew at every step."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from training.florence.model import EOS, GRID, PAD
from training.scenes.dataset import Drawn, cell_labels, normalised
from training.scenes.language import CAPTION_PROMPTS, captions, question, spoken
from training.scenes.render import cover
from training.scenes.scenes import Scene

CAPTION_WEIGHTS = {1: 1.0, 2: 2.0, 3: 1.0}
KIND_WEIGHTS = {
    "color": 1.0,
    "shape": 1.0,
    "count": 0.6,
    "count shape": 1.2,
    "exists": 0.9,
    "exists exactly": 1.2,
    "relation": 2.4,
}


@dataclass(frozen=True)
class Texts:
    """Prompts and targets of a batch: int64 [texts, tokens], padded; `weights` float32 [texts]."""

    prompts: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor


class Wording:
    """Turns scenes into encoded prompts and targets."""

    def __init__(self, tokenizer: Tokenizer, questions: int = 3) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, list[int]] = {}
        self._questions = questions

    def _encode(self, text: str) -> list[int]:
        if text not in self._known:
            self._known[text] = self._tokenizer.encode(text).ids
        return self._known[text]

    def _pairs(self, scene: Scene, rng: random.Random) -> Iterable[tuple[str, str, float]]:
        prompt = CAPTION_PROMPTS[0] if rng.random() < 0.8 else rng.choice(CAPTION_PROMPTS)
        yield prompt, captions(scene)[0], CAPTION_WEIGHTS[len(scene.things)]
        made = 0
        while made < self._questions:
            kind = rng.choices(list(KIND_WEIGHTS), list(KIND_WEIGHTS.values()))[0]
            asked = question(scene, kind, rng)
            if asked is not None:
                made += 1
                yield spoken(asked.text, rng), asked.answer, 1.5

    def texts(self, scenes: list[Scene], rng: random.Random) -> Texts:
        """One caption and the questions for each scene, the texts of a scene side by side."""
        prompts, targets, weights = [], [], []
        for scene in scenes:
            for prompt, target, weight in self._pairs(scene, rng):
                prompts.append(self._encode(prompt))
                targets.append(self._encode(target))
                weights.append(weight)
        return Texts(padded(prompts, PAD), padded(targets, PAD), torch.tensor(weights))


def padded(rows: list[list[int]], fill: int) -> torch.Tensor:
    """Rows of token numbers as one int64 tensor [rows, longest]."""
    longest = max(map(len, rows))
    return torch.tensor([row + [fill] * (longest - len(row)) for row in rows])


def decoder_inputs(targets: torch.Tensor) -> torch.Tensor:
    """What the decoder is fed to say `<s> words </s>`: the same after `</s>` (Florence's start token)."""
    start = torch.full_like(targets[:, :1], EOS)
    return torch.cat([start, targets[:, :-1]], dim=1)


def flipped_labels(
    scene: Scene, labels: NDArray[np.float32], grid: tuple[int, int], step: tuple[int, int]
) -> NDArray[np.float32]:
    """`cell_labels` of a flipped picture, with 64 more that say where in a cell objects are, on 8 x 8 points.

    `step` is -1 where the rows or columns are flipped. Float32 [cells, 6 + 64].
    """
    high, wide = grid
    cells = labels.reshape(high, wide, 6)[:: step[0], :: step[1]]
    cells = cells * np.array([1, 1, 1, step[1], step[0], 1], dtype=np.float32)
    covered = cover(scene, wide * 8, high * 8)[:: step[0], :: step[1]].reshape(high, 8, wide, 8)
    points = covered.transpose(0, 2, 1, 3).reshape(high, wide, 64)
    return np.concatenate([cells, points], axis=2).reshape(high * wide, 6 + 64)


class Images:
    """One process's share of the rendered scenes, with random flips."""

    def __init__(self, drawn: Drawn, indices: list[int], seed: int) -> None:
        self._drawn = drawn
        self._indices = indices
        self._rng = random.Random(seed)
        self._labels = {index: cell_labels(drawn.scenes[index]) for index in indices}
        self._queue: list[int] = []

    def batch(self, size: int) -> tuple[torch.Tensor, torch.Tensor, list[Scene]]:
        """Pixel values [size, 3, 128, 128], cell labels [size, 64, 6 + 64] and the scenes, flipped alike.

        The last 64 labels of a cell say where in it objects are, on 8 x 8 points.
        """
        if len(self._queue) < size:
            self._queue = self._rng.sample(self._indices, len(self._indices))
        chosen, self._queue = self._queue[:size], self._queue[size:]
        images, labels, scenes = [], [], []
        for index in chosen:
            across, down = self._rng.random() < 0.5, self._rng.random() < 0.5
            step = (-1 if down else 1), (-1 if across else 1)
            images.append(self._drawn.images[index][:: step[0], :: step[1]])
            scene = self._drawn.scenes[index]
            labels.append(flipped_labels(scene, self._labels[index], (GRID, GRID), step))
            scenes.append(scene.mirrored(across, down))
        pixels = torch.from_numpy(normalised(np.stack(images)))
        return pixels, torch.from_numpy(np.stack(labels)), scenes
