"""Conversations as numbers: token ids, M-RoPE positions, where image tokens go and what is learnt."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from tokenizers import Tokenizer

from training.chat.chat import SYSTEM, Chat, image_chat, pair_chat, text_chat
from training.chat.chat_pictures import Batch, Grid
from training.chat.qwen_tokenizer import IM_END, IM_START, token_id

IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"


@dataclass
class Sequence:
    """One encoded conversation; `pictures` are (first position, grid) of its image tokens."""

    ids: list[int] = field(default_factory=list)
    learnt: list[bool] = field(default_factory=list)
    images: list[tuple[int, Grid]] = field(default_factory=list)

    def positions(self) -> torch.Tensor:
        """M-RoPE positions int64 [3, tokens], as transformers' `get_rope_index` gives them."""
        parts, at, after = [], 0, 0
        for first, (rows, columns) in self.images:
            parts.append(torch.arange(after, after + first - at).expand(3, -1))
            after += first - at
            row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
            place = torch.stack([torch.zeros_like(row), row, column]).reshape(3, -1)
            parts.append(place + after)
            at, after = first + rows * columns, after + max(rows, columns)
        parts.append(torch.arange(after, after + len(self.ids) - at).expand(3, -1))
        return torch.cat(parts, dim=1)


class Coder:
    """Encodes conversations as Qwen2-VL's chat template does."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._image = token_id(tokenizer, "<|image_pad|>")
        self.end = token_id(tokenizer, IM_END)
        self._known: dict[str, list[int]] = {}

    def _encode(self, text: str) -> list[int]:
        if len(self._known) > 200_000:
            self._known.clear()
        if text not in self._known:
            self._known[text] = self._tokenizer.encode(text).ids
        return self._known[text]

    def sequence(self, chat: Chat, grids: tuple[Grid, ...], *, turns: int | None = None) -> Sequence:
        """The whole conversation; with `turns` only up to the prompt for the answer of that turn."""
        made, waiting = Sequence(), iter(grids)
        text = "" if chat.system is not None else f"{IM_START}system\n{SYSTEM}{IM_END}\n"
        answers = 0
        for message in chat.messages():
            if message["role"] != "assistant":
                text += f"{IM_START}{message['role']}\n{_joined(message['content'])}{IM_END}\n"
                continue
            self._add(made, f"{text}{IM_START}assistant\n", waiting, learnt=False)
            if answers == turns:
                return made
            answers += 1
            self._add(made, f"{message['content'][0]['text']}{IM_END}", waiting, learnt=True)
            text = "\n"
        return made

    def _add(self, made: Sequence, text: str, waiting: Iterator[Grid], *, learnt: bool) -> None:
        for token in self._encode(text):
            if token == self._image:
                grid = next(waiting)
                made.images.append((len(made.ids), grid))
                made.ids += [token] * (grid[0] * grid[1])
                made.learnt += [False] * (grid[0] * grid[1])
            else:
                made.ids.append(token)
                made.learnt.append(learnt)

    def words(self, ids: list[int]) -> str:
        """The text of an answer, without special tokens."""
        return str(self._tokenizer.decode(ids))


def _joined(content: list[dict[str, str]]) -> str:
    return "".join(part.get("text", IMAGE) for part in content)


@dataclass(frozen=True)
class Told:
    """Padded conversations: int64 [chats, tokens]; `sources` are rows of image features, -1 for words."""

    ids: torch.Tensor
    positions: torch.Tensor
    sources: torch.Tensor
    learnt: torch.Tensor
    lengths: torch.Tensor


def collate(sequences: list[tuple[Sequence, list[int]]]) -> Told:
    """Pad sequences; the ints are the first feature rows of each one's pictures."""
    longest = max(len(sequence.ids) for sequence, _ in sequences)
    count = len(sequences)
    ids, learnt = torch.zeros(count, longest, dtype=torch.long), torch.zeros(count, longest, dtype=torch.bool)
    positions = torch.zeros(3, count, longest, dtype=torch.long)
    sources = torch.full((count, longest), -1)
    for row, (sequence, firsts) in enumerate(sequences):
        length = len(sequence.ids)
        ids[row, :length] = torch.tensor(sequence.ids)
        learnt[row, :length] = torch.tensor(sequence.learnt)
        positions[:, row, :length] = sequence.positions()
        for (at, (high, wide)), first in zip(sequence.images, firsts, strict=True):
            sources[row, at : at + high * wide] = torch.arange(first, first + high * wide)
    lengths = torch.tensor([len(sequence.ids) for sequence, _ in sequences])
    return Told(ids, positions, sources, learnt, lengths)


def conversations(batches: list[Batch], coder: Coder, rng: random.Random, pairs: float = 0.5) -> list[Told]:
    """A conversation about each picture, some about two (a share `pairs`), and small talk.

    Feature rows count through the pictures of all batches in their order. The short ones come first, apart
    from the long ones, so that little is padded.
    """
    places, row = [], 0
    for batch in batches:
        for scene in batch.scenes:
            places.append((scene, batch.grid, row))
            row += batch.grid[0] * batch.grid[1]
    made = []
    for scene, grid, first in places:
        turns = 1 if rng.random() < 0.3 else rng.randint(2, 5)
        made.append((coder.sequence(image_chat(scene, turns, rng), (grid,)), [first]))
    for _ in range(round(len(places) * pairs)):
        one, other = rng.sample(places, 2)
        chat = pair_chat((one[0], other[0]), rng.randint(2, 4), rng)
        made.append((coder.sequence(chat, (one[1], other[1])), [one[2], other[2]]))
    for _ in range(max(1, len(places) // 24)):
        made.append((coder.sequence(text_chat(rng), ()), []))
    made.sort(key=lambda pair: len(pair[0].ids))
    third = len(made) // 3
    return [collate(part) for part in (made[:third], made[third : 2 * third], made[2 * third :])]
