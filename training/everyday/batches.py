"""Conversations as numbers: token ids, M-RoPE positions, which image row stands where, and what is learnt."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from tokenizers import Tokenizer

from training.chat.chat import SYSTEM
from training.chat.qwen_tokenizer import IM_END, IM_START, token_id
from training.everyday.talks import Talk
from training.everyday.turns import Turn
from training.things.captions import capital
from training.things.kinds import KINDS
from training.things.view import tensor_rows

IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"
FEWEST, MOST = 64, 112
"""Image tokens of a picture, whatever its shape: what the processor's limits of pixels come to."""
Grid = tuple[int, int]


@dataclass
class Encoded:
    """One encoded conversation; `images` are (first position, grid, tokens kept) of its pictures."""

    ids: list[int] = field(default_factory=list)
    learnt: list[bool] = field(default_factory=list)
    images: list[tuple[int, Grid, int]] = field(default_factory=list)

    def positions(self) -> torch.Tensor:
        """M-RoPE positions int64 [3, tokens], as transformers gives them for whole pictures."""
        parts, at, after = [], 0, 0
        for first, (rows, columns), kept in self.images:
            parts.append(torch.arange(after, after + first - at).expand(3, -1))
            after += first - at
            place = torch.arange(kept)
            parts.append(torch.stack([torch.zeros_like(place), place // columns, place % columns]) + after)
            at, after = first + kept, after + max(rows, columns)
        parts.append(torch.arange(after, after + len(self.ids) - at).expand(3, -1))
        return torch.cat(parts, dim=1)


def some_grid(rng: random.Random) -> Grid:
    """The image tokens of a picture of a usual shape, (rows, columns)."""
    ratio = rng.choice((1.0, 1.33, 1.5, 1.78, 0.75, 0.56, 2 ** rng.uniform(-1.5, 1.5)))
    area = rng.uniform(FEWEST, MOST)
    rows = max(1, round(math.sqrt(area / ratio)))
    return rows, max(1, round(area / rows))


class Coder:
    """Encodes conversations as Qwen2-VL's chat template does."""

    def __init__(self, tokenizer: Tokenizer, things: int) -> None:
        """`things` image tokens of each picture say something, the rest are all alike."""
        self._tokenizer, self._things = tokenizer, things
        self._image = token_id(tokenizer, "<|image_pad|>")
        self.end = token_id(tokenizer, IM_END)

    def sequence(self, talk: Talk, rng: random.Random, *, whole: float = 0.1) -> Encoded:
        """The whole conversation. A share `whole` of the pictures keep all their tokens.

        The others keep those that say something and a few more: that is several times as quick.
        """
        made = Encoded()
        shapes = iter([self._shape(rng, whole) for _ in talk.views])
        text = "" if talk.system is not None else f"{IM_START}system\n{SYSTEM}{IM_END}\n"
        turns = iter(talk.turns)
        for message in talk.messages():
            if message["role"] != "assistant":
                text += f"{IM_START}{message['role']}\n{_joined(message['content'])}{IM_END}\n"
                continue
            self._add_prompt(made, f"{text}{IM_START}assistant\n", shapes)
            self._add_answer(made, next(turns))
            text = "\n"
        return made

    def said(self, ids: list[int], kind: int, begin: int) -> int:
        """Where the name of a kind ends that is said after `begin` for the first time, or -1."""
        names = (KINDS[kind].name, KINDS[kind].plural)
        words = [self._tokenizer.encode(f" {name}").ids for name in names]
        words += [self._tokenizer.encode(capital(name)).ids for name in names]
        ends = [
            at + len(word) - 1
            for word in words
            for at in range(begin, len(ids) - len(word) + 1)
            if ids[at : at + len(word)] == word
        ]
        return min(ends, default=-1)

    def _shape(self, rng: random.Random, whole: float) -> tuple[Grid, int]:
        grid = some_grid(rng)
        cells = grid[0] * grid[1]
        return grid, cells if rng.random() < whole else min(cells, self._things + rng.randrange(6))

    def _add_prompt(self, made: Encoded, text: str, shapes: Iterator[tuple[Grid, int]]) -> None:
        for token in self._tokenizer.encode(text).ids:
            if token == self._image:
                grid, kept = next(shapes)
                made.images.append((len(made.ids), grid, kept))
                made.ids += [token] * kept
                made.learnt += [False] * kept
            else:
                made.ids.append(token)
                made.learnt.append(False)

    def _add_answer(self, made: Encoded, turn: Turn) -> None:
        encoded = self._tokenizer.encode(f"{turn.answer}{IM_END}")
        made.ids += encoded.ids
        made.learnt += [
            not any(begin < last <= end for begin, end in turn.given) for _, last in encoded.offsets
        ]


def _joined(content: list[dict[str, str]]) -> str:
    return "".join(part.get("text", IMAGE) for part in content)


@dataclass(frozen=True)
class Told:
    """Padded conversations: int64 [talks, tokens].

    `sources` are rows of image features, -1 for words; `things` float [pictures, 24, 8]. Feature rows count
    through the pictures, and the one after them all is the row that says nothing.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    sources: torch.Tensor
    learnt: torch.Tensor
    things: torch.Tensor


def collate(talks: Sequence[tuple[Talk, Encoded]], rows: int) -> Told:
    """Pad sequences; `rows` image tokens of each picture say something."""
    longest = max(len(made.ids) for _, made in talks)
    count = len(talks)
    ids, learnt = torch.zeros(count, longest, dtype=torch.long), torch.zeros(count, longest, dtype=torch.bool)
    positions = torch.zeros(3, count, longest, dtype=torch.long)
    sources = torch.full((count, longest), -1)
    things = [tensor_rows(view.things) for talk, _ in talks for view in talk.views]
    picture, nothing = 0, len(things) * rows
    for row, (_, made) in enumerate(talks):
        length = len(made.ids)
        ids[row, :length] = torch.tensor(made.ids)
        learnt[row, :length] = torch.tensor(made.learnt)
        positions[:, row, :length] = made.positions()
        for first, _, kept in made.images:
            place = torch.arange(kept)
            known = torch.where(place < rows, picture * rows + place, nothing)
            sources[row, first : first + kept] = known
            picture += 1
    return Told(ids, positions, sources, learnt, torch.tensor(things).reshape(-1, 24, 8))
