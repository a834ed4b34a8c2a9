"""Whole conversations: who says what, where the pictures stand, and what a client may add around it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from training.chat.chat_language import (
    NO_IMAGE,
    PAIR_WEIGHTS,
    Turn,
    any_turn,
    follow_up,
    pair_turn,
)
from training.scenes.scenes import Scene

SYSTEM = "You are a helpful assistant."
OTHER_SYSTEMS = (
    "Answer briefly.",
    "You are a vision assistant. Answer the question about the image.",
    "You are a helpful vision assistant that describes what a camera sees.",
    "Answer in one short sentence.",
    "You analyse pictures for a home automation system. Be precise.",
    "You are an AI. Only report what is visible in the picture.",
)
HINTS = (
    "Answer briefly.",
    "Answer in one word.",
    "Please be short.",
    "Look at the picture.",
    "Please answer:",
)
TEXT_ONLY = (
    "Hi",
    "Hello",
    "Hello!",
    "Who are you?",
    "What can you do?",
    "test from litellm",
    "What is the capital of France?",
    "Tell me a joke.",
    "Write a title for this chat.",
    "Generate a concise title with an emoji that summarises the chat history.",
    "Say this is a test",
    "How are you?",
    "What is your name?",
    "Which model are you?",
    "Thank you",
)
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Chat:
    """A conversation about no, one or two pictures; the first user message carries them.

    `layout` says where: "before" the text, "after" it, or "labelled" ("Image 1:" before each).
    """

    scenes: tuple[Scene, ...]
    turns: tuple[Turn, ...]
    system: str | None
    layout: str

    def first_content(self) -> list[dict[str, Any]]:
        """The parts of the first user message; see `pictured`."""
        return pictured(self.turns[0].question, len(self.scenes), self.layout)

    def messages(self) -> list[dict[str, Any]]:
        """All messages, the last one the answer to learn."""
        made = [] if self.system is None else [text_message("system", self.system)]
        for number, turn in enumerate(self.turns):
            made.append(
                {"role": "user", "content": self.first_content()}
                if number == 0
                else text_message("user", turn.question)
            )
            made.append(text_message("assistant", turn.answer))
        return made


def pictured(question: str, pictures: int, layout: str) -> list[dict[str, Any]]:
    """The parts of a user message in one of the layouts of `Chat`.

    Pictures are `{"type": "image", "image": index}`.
    """
    text = {"type": "text", "text": question}
    images: list[dict[str, Any]] = [{"type": "image", "image": index} for index in range(pictures)]
    if layout == "after":
        return [text, *images]
    if layout == "labelled":
        labels = [{"type": "text", "text": f"Image {index + 1}:"} for index in range(pictures)]
        return [part for pair in zip(labels, images, strict=True) for part in pair] + [text]
    return [*images, text]


def text_message(role: str, text: str) -> dict[str, Any]:
    """A message of text alone."""
    return {"role": role, "content": [{"type": "text", "text": text}]}


def _typed(turn: Turn, rng: random.Random) -> Turn:
    """The question as people type it."""
    text = turn.question
    draw = rng.random()
    if draw < 0.1:
        text = text[0].lower() + text[1:]
    elif draw < 0.18:
        text = text.rstrip("?.")
    elif draw < 0.26:
        text = f"{text} {rng.choice(HINTS)}"
    elif draw < 0.32:
        text = f"{rng.choice(HINTS)} {text}"
    return Turn(turn.kind, text, turn.answers, turn.about)


def _nonsense(rng: random.Random) -> str:
    words = ["".join(rng.choices(_LETTERS, k=rng.randint(1, 7))) for _ in range(rng.randint(1, 8))]
    return " ".join(words) + rng.choice(("", "?", ".", "!"))


def _system(rng: random.Random) -> str | None:
    draw = rng.random()
    if draw < 0.6:
        return None
    return rng.choice(OTHER_SYSTEMS) if draw < 0.9 else _nonsense(rng)


def image_chat(scene: Scene, turns: int, rng: random.Random) -> Chat:
    """Several questions about one picture."""
    asked = [any_turn(scene, rng)]
    while len(asked) < turns:
        asked.append(follow_up(scene, asked[-1], rng))
    if turns > 1 and rng.random() < 0.7:
        asked.sort(key=lambda turn: turn.kind in ("describe", "json"))
        asked = _without_lost_references(asked)
    layout = rng.choices(("before", "after", "labelled"), (0.72, 0.2, 0.08))[0]
    return Chat((scene,), tuple(_typed(turn, rng) for turn in asked), _system(rng), layout)


def _without_lost_references(asked: list[Turn]) -> list[Turn]:
    """Drop questions about "it" that no longer stand behind their object."""
    kept: list[Turn] = []
    for turn in asked:
        its = turn.kind.startswith("its ")
        if its and (not kept or kept[-1].about is None or not _fits(turn, kept[-1])):
            continue
        kept.append(turn)
    return kept


def _fits(turn: Turn, last: Turn) -> bool:
    thing = last.about
    return thing is not None and turn.answer in (thing.colour, thing.shape)


def pair_chat(scenes: tuple[Scene, Scene], turns: int, rng: random.Random) -> Chat:
    """Questions about two pictures."""
    kinds = rng.choices(list(PAIR_WEIGHTS), list(PAIR_WEIGHTS.values()), k=turns)
    asked = [_typed(pair_turn(scenes, kind, rng), rng) for kind in kinds]
    layout = rng.choices(("before", "after", "labelled"), (0.5, 0.2, 0.3))[0]
    return Chat(scenes, tuple(asked), _system(rng), layout)


def text_chat(rng: random.Random) -> Chat:
    """Small talk without a picture, which the model answers with what it is."""
    count = rng.choice((1, 1, 2))
    asked = [rng.choice(TEXT_ONLY) if rng.random() < 0.6 else _nonsense(rng) for _ in range(count)]
    turns = tuple(Turn("text", text, (NO_IMAGE,)) for text in asked)
    return Chat((), turns, _system(rng), "before")
