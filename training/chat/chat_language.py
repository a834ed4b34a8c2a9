"""Words about pictures in a chat: what is asked, how people put it, and the one true answer."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass

from training.scenes.language import captions, question, with_article
from training.scenes.palette import COLOURS
from training.scenes.scenes import SHAPES, Scene, Thing

DESCRIBE = (
    "Describe the image.",
    "Describe this picture.",
    "What is in this image?",
    "What's in this image?",
    "What do you see?",
    "Caption this image.",
    "Describe the image briefly.",
    "What does the image show?",
)
AS_JSON = "Describe the image as JSON."
ONE_AS_JSON = "Answer as JSON with the keys color and shape."
COUNT_AS_JSON = "Answer as JSON with the key count."
NO_IMAGE = "I am a small demo model that knows coloured shapes. Please send me a picture."
KIND_WEIGHTS = {
    "describe": 2.6,
    "color": 0.9,
    "shape": 1.0,
    "count": 0.6,
    "count shape": 1.2,
    "exists": 0.9,
    "exists exactly": 1.2,
    "relation": 2.2,
    "json": 0.9,
    "json object": 0.25,
    "json count": 0.15,
}
PAIR_WEIGHTS = {
    "more": 0.5,
    "which has": 3.0,
    "both have": 1.5,
    "exists one": 2.0,
    "describe one": 2.0,
    "count one": 0.4,
}
KINDS = tuple(KIND_WEIGHTS)
PAIR_KINDS = tuple(PAIR_WEIGHTS)
ORDINALS = ("first", "second")


@dataclass(frozen=True)
class Turn:
    """A question with its kind and its true answers, the one to learn first."""

    kind: str
    question: str
    answers: tuple[str, ...]
    about: Thing | None = None

    @property
    def answer(self) -> str:
        """The answer to learn."""
        return self.answers[0]


def sentence(text: str) -> str:
    """With a capital letter and a full stop."""
    return f"{text[0].upper()}{text[1:]}."


def _describe(scene: Scene, rng: random.Random) -> Turn:
    return Turn("describe", rng.choice(DESCRIBE), tuple(sentence(text) for text in captions(scene)))


def from_left(scene: Scene) -> list[Thing]:
    """The objects from left to right."""
    return sorted(scene.things, key=lambda thing: thing.centre[0])


def _objects(scene: Scene) -> str:
    things = [{"color": thing.colour, "shape": thing.shape} for thing in from_left(scene)]
    return json.dumps({"objects": things})


def _json_turn(kind: str, scene: Scene) -> Turn | None:
    if kind == "json":
        return Turn(kind, AS_JSON, (_objects(scene),))
    if kind == "json count":
        return Turn(kind, COUNT_AS_JSON, (json.dumps({"count": len(scene.things)}),))
    if len(scene.things) > 1:
        return None
    (thing,) = scene.things
    return Turn(kind, ONE_AS_JSON, (json.dumps({"color": thing.colour, "shape": thing.shape}),))


def turn(scene: Scene, kind: str, rng: random.Random) -> Turn | None:
    """A question of the kind, or None where the scene has none with one true answer."""
    if kind == "describe":
        return _describe(scene, rng)
    if kind.startswith("json"):
        return _json_turn(kind, scene)
    asked = question(scene, kind, rng)
    if asked is None:
        return None
    named = next((thing for thing in scene.things if with_article(thing.name) == asked.answer), None)
    return Turn(kind, asked.text, (asked.answer,), named)


def any_turn(scene: Scene, rng: random.Random) -> Turn:
    """A question of a kind drawn by weight."""
    while True:
        kind = rng.choices(list(KIND_WEIGHTS), list(KIND_WEIGHTS.values()))[0]
        if (made := turn(scene, kind, rng)) is not None:
            return made


def about_it(thing: Thing, rng: random.Random) -> Turn:
    """A follow-up about the object that the last answer named."""
    if rng.random() < 0.5:
        return Turn("its color", "What color is it?", (thing.colour,))
    return Turn("its shape", "What shape is it?", (thing.shape,))


def follow_up(scene: Scene, last: Turn, rng: random.Random) -> Turn:
    """The next question about the same picture."""
    if last.about is not None and rng.random() < 0.5:
        return about_it(last.about, rng)
    return any_turn(scene, rng)


def which(first: bool, second: bool) -> str:
    """The pictures of which something is true."""
    if first and second:
        return "Both images."
    return "The first image." if first else "The second image." if second else "Neither image."


def pair_turn(scenes: tuple[Scene, Scene], kind: str, rng: random.Random) -> Turn:
    """A question about two pictures."""
    counts = [len(scene.things) for scene in scenes]
    if kind == "more":
        answer = "Both have the same number."
        if counts[0] != counts[1]:
            answer = which(counts[0] > counts[1], counts[1] > counts[0])
        return Turn(kind, "Which image has more objects?", (answer,))
    place = rng.randrange(2)
    if kind == "describe one":
        texts = tuple(sentence(text) for text in captions(scenes[place]))
        ask = rng.choice(("Describe the {} image.", "What is in the {} image?"))
        return Turn(kind, ask.format(ORDINALS[place]), texts)
    if kind == "count one":
        return Turn(kind, f"How many objects are in the {ORDINALS[place]} image?", (str(counts[place]),))
    name, shows = _trait(scenes, rng)
    if kind == "exists one":
        ask = f"Is there {with_article(name)} in the {ORDINALS[place]} image?"
        return Turn(kind, ask, ("yes" if shows[place] else "no",))
    if kind == "which has":
        return Turn(kind, f"Which image shows {with_article(name)}?", (which(*shows),))
    return Turn(kind, f"Do both images show {with_article(name)}?", ("yes" if all(shows) else "no",))


def _trait(scenes: tuple[Scene, Scene], rng: random.Random) -> tuple[str, list[bool]]:
    """A shape, mostly one of the pictures', and in which of them it is."""
    here = [thing.shape for scene in scenes for thing in scene.things]
    shared = [shape for shape in here if all(shape in [t.shape for t in scene.things] for scene in scenes)]
    draw = rng.random()
    name = rng.choice(shared) if shared and draw < 0.35 else rng.choice(here if draw < 0.8 else SHAPES)
    return name, [name in [thing.shape for thing in scene.things] for scene in scenes]


def words() -> list[str]:
    """Sentences with every word of questions, answers and systems, for the tokenizer."""
    names = [f"{colour} {shape}" for colour in COLOURS for shape in SHAPES]
    sentences = [text for name in names for text in (with_article(name), sentence(with_article(name)))]
    relations = [f"a circle {where} the star." for where in ("above", "below", "to the left of", "right of")]
    asked = [f"How many {shape}s are there? Is there {with_article(shape)}?" for shape in SHAPES]
    return [
        *sentences,
        *relations,
        *asked,
        *DESCRIBE,
        *(text.lower() for text in DESCRIBE),
        *(f"{colour} {shape}" for colour in COLOURS for shape in SHAPES),
        "What color is the circle? What colour is it? What shape is the red object? what shape",
        "How many objects? how many objects are in the image? is there what is",
        "Which image has more objects? Do both images show a star? Describe the first image.",
        "The second image. Both images. Neither image. Both have the same number. which do",
        AS_JSON,
        ONE_AS_JSON,
        COUNT_AS_JSON,
        NO_IMAGE,
        '{"objects": [{"color": "red", "shape": "circle"}, {"color": "blue", "shape": "square"}]}',
        '{"count": 2} {"count": 3}',
        "yes no Yes No 0 1 2 3 4 5 6 7 8 9 system user assistant",
        "You are a helpful assistant. Image 1: Image 2: Image 3:",
        *SHAPES,
        *COLOURS,
        "above below left right",
    ]
