"""Prompts and answers about invented lists, in the shares that training wants."""

from __future__ import annotations

import random
from dataclasses import dataclass

from training.things import captions, questions
from training.things.clients import instruction, strange
from training.things.lists import sample, scattered
from training.things.places import PROMPTS, task
from training.things.view import ROWS, Thing, View

CAPTIONS = {
    "caption": "What does the image describe?",
    "detailed caption": "Describe in detail what is shown in the image.",
    "more detailed caption": "Describe with a paragraph what is shown in the image.",
}
_SAY = {
    "caption": captions.short,
    "detailed caption": captions.detailed,
    "more detailed caption": captions.more_detailed,
}
_QUESTION_SHARES = {
    **dict.fromkeys(questions.MAKERS, 1.0),
    **{"exists": 4.0, "count": 3.0, "where": 3.0, "unknown": 2.0, "colour": 3.0, "more": 2.5},
    **{"colour check": 2.5, "exists coloured": 3.0, "side check": 2.5, "on side": 3.5, "list": 2.5},
    **{"left": 3.0, "right": 3.0, "above": 3.0, "below": 3.0, "is on": 2.0, "on it": 2.5, "doing": 2.0},
    **{"kinds of": 2.5, "exists group": 1.5, "count group": 1.5, "untold": 2.0, "near": 1.8, "far": 1.8},
    **{"text": 0.7, "who": 0.5, "able": 0.6, "detailed": 2.0, "title": 1.2, "short": 2.5, "anyone": 1.0},
}
SHARES = {
    **{f"vqa {kind}": share for kind, share in _QUESTION_SHARES.items()},
    **{"caption": 3.5, "detailed caption": 4.0, "more detailed caption": 8.0},
    **{"od": 4.0, "dense regions": 4.0, "proposals": 1.5, "grounding": 6.0, "open vocabulary": 7.0},
    **{"region category": 3.0, "region description": 3.0, "client": 6.0, "strange": 1.0},
}
_SCATTERED = 0.3
"""Share of the lists whose things are of any kinds and anywhere."""
_WANTS_ON = frozenset({"vqa is on", "vqa on it", "vqa doing"})


@dataclass(frozen=True)
class Sample:
    """A list, what is asked about it and what is to be said. The prompt of a question begins with `<VQA>`."""

    kind: str
    things: list[Thing]
    prompt: str
    answer: str
    named: int = -1
    """The kind of thing that a question names, -1 for none."""


def draw_kind(rng: random.Random) -> str:
    """A key of `SHARES`."""
    return rng.choices(list(SHARES), list(SHARES.values()))[0]


def fitting_list(kind: str, rng: random.Random) -> list[Thing]:
    """A list, for some kinds mostly one that has what is asked about."""
    things = scattered(rng) if rng.random() < _SCATTERED else sample(rng)
    if kind in _WANTS_ON and rng.random() < 0.75:
        for _ in range(8):
            if any(group.some_on >= 0 for group in View(things).groups):
                break
            things = sample(rng)
    return things


def about(things: list[Thing], kind: str, rng: random.Random, *, held: bool = False) -> tuple[str, str]:
    """Prompt and answer of a kind."""
    made = sample_of(things, kind, rng, held=held)
    return made.prompt, made.answer


def sample_of(things: list[Thing], kind: str, rng: random.Random, *, held: bool = False) -> Sample:
    """A sample of a kind."""
    view = View(things)
    if kind.startswith("vqa "):
        asked = questions.question(view, kind.removeprefix("vqa "), rng, held=held, more=True)
        return Sample(kind, things, f"<VQA>{asked.text}", asked.answer, asked.named)
    return Sample(kind, things, *_other(view, kind, rng, held=held))


def _other(view: View, kind: str, rng: random.Random, *, held: bool) -> tuple[str, str]:
    """Prompt and answer of what is no question."""
    if kind in CAPTIONS:
        return CAPTIONS[kind], _SAY[kind](view)
    if kind in PROMPTS:
        return task(view, kind, rng)
    text, answer = strange(view, rng) if kind == "strange" else instruction(view, rng, held=held)
    return f"<VQA>{text}", answer


def draw(rng: random.Random, most: int = ROWS) -> Sample:
    """One sample for training, of a list of at most so many things."""
    kind = draw_kind(rng)
    things = fitting_list(kind, rng)
    while len(things) > most:
        things = fitting_list(kind, rng)
    return sample_of(things, kind, rng)
