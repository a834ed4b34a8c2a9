"""Words about scenes: captions, and questions that have one true answer."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from training.scenes.palette import COLOURS
from training.scenes.scenes import SHAPES, Scene, Thing

CAPTION_PROMPTS = (
    "What does the image describe?",
    "Describe in detail what is shown in the image.",
    "Describe with a paragraph what is shown in the image.",
)
RELATIONS = ("above", "below", "to the left of", "to the right of")
KINDS = ("color", "shape", "count", "count shape", "exists", "exists exactly", "relation")
_OPPOSITE = dict(zip(RELATIONS, ("below", "above", "to the right of", "to the left of"), strict=True))


@dataclass(frozen=True)
class Question:
    """A question about a scene with its kind and its one true answer."""

    kind: str
    text: str
    answer: str


def with_article(name: str) -> str:
    """The name after `a` or `an`."""
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def relation(one: Thing, other: Thing) -> str:
    """Where `one` lies from `other`: on the axis that separates the centres more, in picture pixels."""
    across, down = one.centre[0] - other.centre[0], one.centre[1] - other.centre[1]
    if abs(across) > abs(down):
        return "to the left of" if across < 0 else "to the right of"
    return "above" if down < 0 else "below"


def decided(scene: Scene, thing: Thing, margin: float = 0.1) -> bool:
    """Whether no other object's place relative to this one is nearly a tie between the axes."""
    for other in scene.things:
        across, down = abs(other.centre[0] - thing.centre[0]), abs(other.centre[1] - thing.centre[1])
        if other is not thing and max(across, down) < (1 + margin) * min(across, down):
            return False
    return True


def captions(scene: Scene) -> list[str]:
    """Every true caption, the one to learn first: it begins with the leftmost object.

    Were it the upper one for two objects, the first word would have to settle the axis already, and a
    model that begins with the wrong one could not say `below`.
    """
    things = sorted(scene.things, key=lambda thing: thing.centre[0])
    names = [with_article(thing.name) for thing in things]
    if len(things) == 1:
        return names
    if len(things) == 3:
        return [f"{names[0]}, {names[1]} and {names[2]}"]
    word = relation(things[0], things[1])
    return [f"{names[0]} {word} {names[1]}", f"{names[1]} {_OPPOSITE[word]} {names[0]}"]


def _color(scene: Scene, rng: random.Random) -> Question | None:
    found = _lone(scene, lambda thing: thing.shape, rng)
    word = "colour" if rng.random() < 0.2 else "color"
    return None if found is None else Question("color", f"What {word} is the {found.shape}?", found.colour)


def _shape(scene: Scene, rng: random.Random) -> Question | None:
    found = _lone(scene, lambda thing: thing.colour, rng)
    if found is None:
        return None
    text = (
        f"What shape is the {found.colour} object?"
        if rng.random() < 0.12
        else f"What shape is {found.colour}?"
    )
    return Question("shape", text, found.shape)


def _lone(scene: Scene, trait: Callable[[Thing], str], rng: random.Random) -> Thing | None:
    """An object that shares the trait with no other one."""
    traits = [trait(thing) for thing in scene.things]
    lone = [thing for thing in scene.things if traits.count(trait(thing)) == 1]
    return rng.choice(lone) if lone else None


def _count(scene: Scene, rng: random.Random) -> Question:
    end = "" if rng.random() < 0.2 else " are there"
    return Question("count", f"How many objects{end}?", str(len(scene.things)))


def _count_shape(scene: Scene, rng: random.Random) -> Question:
    present = [thing.shape for thing in scene.things]
    often = [shape for shape in present if present.count(shape) > 1]
    pool = often if often and rng.random() < 0.45 else present if rng.random() < 0.6 else list(SHAPES)
    shape = rng.choice(pool)
    return Question("count shape", f"How many {shape}s are there?", str(present.count(shape)))


def _exists(scene: Scene, rng: random.Random) -> Question | None:
    present = {thing.shape for thing in scene.things}
    absent = [shape for shape in SHAPES if shape not in present]
    answer = rng.random() < 0.5
    shape = rng.choice(sorted(present) if answer else absent)
    return Question("exists", f"Is there {with_article(shape)}?", "yes" if answer else "no")


def _exists_exactly(scene: Scene, rng: random.Random) -> Question:
    """Half are true; most false ones recombine what is there, the hardest kind."""
    present = {thing.name for thing in scene.things}
    if rng.random() < 0.5:
        return Question("exists exactly", f"Is there {with_article(rng.choice(sorted(present)))}?", "yes")
    while True:
        thing, other = rng.choice(scene.things), rng.choice(scene.things)
        colour = rng.choice((other.colour, thing.colour, rng.choice(COLOURS)))
        shape = thing.shape if colour != thing.colour else rng.choice(SHAPES)
        if f"{colour} {shape}" not in present:
            return Question("exists exactly", f"Is there {with_article(f'{colour} {shape}')}?", "no")


def _relation(scene: Scene, rng: random.Random) -> Question | None:
    """Draws the direction first: drawn last, the vertical ones of three objects stay rare."""
    for word in rng.sample(RELATIONS, 4):
        hits = [
            (other, found[0])
            for other in scene.things
            if decided(scene, other)
            and len(
                found := [one for one in scene.things if one is not other and relation(one, other) == word]
            )
            == 1
        ]
        if hits:
            other, one = rng.choice(hits)
            return Question("relation", f"What is {word} the {other.name}?", with_article(one.name))
    return None


_MAKERS: dict[str, Callable[[Scene, random.Random], Question | None]] = {
    "color": _color,
    "shape": _shape,
    "count": _count,
    "count shape": _count_shape,
    "exists": _exists,
    "exists exactly": _exists_exactly,
    "relation": _relation,
}


def question(scene: Scene, kind: str, rng: random.Random) -> Question | None:
    """A question of the kind, or None where the scene has none with one true answer."""
    return _MAKERS[kind](scene, rng)


def spoken(text: str, rng: random.Random) -> str:
    """The question as people type it: mostly `<VQA>` before it, sometimes without its `?`."""
    if rng.random() < 0.12:
        text = text.rstrip("?")
    draw = rng.random()
    return f"<VQA>{text}" if draw < 0.72 else f"<VQA> {text}" if draw < 0.8 else text


def vocabulary_text() -> list[str]:
    """Sentences with every word of captions, questions and answers, for the tokenizer."""
    scenes = [f"{with_article(f'{colour} {shape}')}, and" for colour in COLOURS for shape in SHAPES]
    asked = [f"How many {shape}s are there? Is there {with_article(shape)}? What is" for shape in SHAPES]
    words = (
        "What color is the circle? What colour is it? How many objects are there? "
        "What shape is the red object?"
    )
    relations = [f"a circle {word} the star" for word in RELATIONS]
    alone = [
        *COLOURS,
        *SHAPES,
        *(f" {number}" for number in range(10)),
        *"0123456789",
        "yes",
        "no",
        "<VQA>what",
    ]
    return [*scenes, *asked, words, *relations, *alone, *CAPTION_PROMPTS, "<VQA> is", "<VQA>how", "<VQA>is"]
