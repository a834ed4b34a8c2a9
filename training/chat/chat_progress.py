"""How well a chat model does while it trains: greedy answers on held-out scenes."""

from __future__ import annotations

import random
from collections import defaultdict

import torch
from transformers import Qwen2VLForConditionalGeneration

from training.chat.chat import Chat
from training.chat.chat_batches import Coder, Sequence, collate
from training.chat.chat_language import KINDS, PAIR_KINDS, Turn, pair_turn, turn
from training.chat.chat_pictures import Drawn
from training.chat.chat_stages import hidden_states
from training.chat.qwen_model import patches_of, see

Case = tuple[Turn, Sequence, list[int]]


def _chat(scenes: tuple[int, ...], drawn: Drawn, asked: Turn) -> Chat:
    return Chat(tuple(drawn.scenes[index] for index in scenes), (asked,), None, "before")


def _cases(first: int, last: int, drawn: Drawn, coder: Coder, rows: dict[int, int]) -> list[Case]:
    """One question of each kind about each picture, and one about each pair of neighbours."""
    made = []
    for index in range(first, last):
        rng = random.Random(index)
        asked = [found for kind in KINDS if (found := turn(drawn.scenes[index], kind, rng))]
        for question in asked:
            chat = _chat((index,), drawn, question)
            made.append((question, coder.sequence(chat, (drawn.grid(index),), turns=0), [rows[index]]))
        if index + 1 < last:
            pair = index, index + 1
            scenes = drawn.scenes[index], drawn.scenes[index + 1]
            question = pair_turn(scenes, PAIR_KINDS[index % len(PAIR_KINDS)], rng)
            grids = drawn.grid(pair[0]), drawn.grid(pair[1])
            sequence = coder.sequence(_chat(pair, drawn, question), grids, turns=0)
            made.append((question, sequence, [rows[place] for place in pair]))
    return made


def _say(
    model: Qwen2VLForConditionalGeneration,
    features: torch.Tensor,
    cases: list[Case],
    end: int,
    most: int = 44,
) -> list[list[int]]:
    """Greedy answers; every step runs the whole sequence again, which is fine for so few."""
    said: list[list[int]] = [[] for _ in cases]
    open_rows = list(range(len(cases)))
    for _ in range(most):
        told = collate([(cases[row][1], cases[row][2]) for row in open_rows])
        hidden = hidden_states(model, features, told)
        chosen = model.lm_head(hidden[torch.arange(len(open_rows)), told.lengths - 1]).argmax(-1).tolist()
        for row, token in zip(open_rows, chosen, strict=True):
            said[row].append(token)
            cases[row][1].ids.append(token)
            cases[row][1].learnt.append(False)
        open_rows = [row for row in open_rows if said[row][-1] != end]
        if not open_rows:
            break
    return said


@torch.no_grad()
def measure(
    model: Qwen2VLForConditionalGeneration, coder: Coder, drawn: Drawn, chunk: int = 10
) -> dict[str, tuple[int, int]]:
    """Right answers and cases for each kind."""
    tally: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    model.eval()
    for first in range(0, len(drawn.scenes), chunk):
        last = min(first + chunk, len(drawn.scenes))
        parts, rows, count = [], {}, 0
        for index in range(first, last):
            grid = drawn.grid(index)
            patches = torch.from_numpy(patches_of(drawn.image(index)[None]))
            parts.append(see(model, patches, grid)[0])
            rows[index], count = count, count + grid[0] * grid[1]
        cases = _cases(first, last, drawn, coder, rows)
        said = _say(model, torch.cat(parts), cases, coder.end)
        for (asked, _, _), ids in zip(cases, said, strict=True):
            tally[asked.kind][0] += coder.words(ids).strip() in asked.answers
            tally[asked.kind][1] += 1
    model.train()
    return {kind: (right, cases) for kind, (right, cases) in sorted(tally.items())}
