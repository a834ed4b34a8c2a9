"""Questions about several pictures: what each shows, and which of them has something."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from training.chat.chat_language import ORDINALS, which
from training.everyday.turns import Turn
from training.things import captions
from training.things.kinds import KINDS
from training.things.questions import Asker, typed
from training.things.view import View

COMPARE = (
    *("Compare the two images.", "What is the difference between the images?", "Describe both images."),
    *("Describe the images.", "What do the images show?", "What has changed?", "Compare the pictures."),
    *("Describe what happens in the images.", "What is in these images?", "Describe the two pictures."),
    *("Summarize the images.", "What is the difference?", "How do the two pictures differ?"),
)


def seen(view: View) -> str:
    """What a picture shows, as the end of a sentence."""
    if not view.groups:
        return "nothing that I know"
    return captions.gist(view) if view.groups[0].sure else f"probably {captions.gist(view)}"


def each(views: Sequence[View]) -> str:
    """A sentence about the first picture, and one about the last."""
    if len(views) == 1:
        return captions.short(views[0])
    last = "second" if len(views) == 2 else "last"
    return f"The first image shows {seen(views[0])}. The {last} image shows {seen(views[-1])}."


def _kind(views: Sequence[View], rng: random.Random) -> int:
    return Asker(rng.choice(views), rng).kind(0.8)


def _compare(views: Sequence[View], rng: random.Random) -> Turn:
    return Turn("compare", rng.choice(COMPARE), each(views))


def _describe_one(views: Sequence[View], rng: random.Random) -> Turn:
    place = rng.randrange(2)
    ask = rng.choice(("Describe the {} image.", "What is in the {} image?", "What does the {} picture show?"))
    return Turn("describe one", ask.format(ORDINALS[place]), captions.short(views[place]))


def _exists_any(views: Sequence[View], rng: random.Random) -> Turn:
    kind = _kind(views, rng)
    ask = Asker(views[0], rng)
    shows = [view.group(kind) is not None for view in views]
    found = which(shows[0], shows[1]).lower()
    said = f"Yes, in {found}" if any(shows) else f"No, I see no {KINDS[kind].name}."
    return Turn("exists any", typed(ask.filled(ask.template("exists"), kind), "list", rng), said, kind)


MAKERS: dict[str, Callable[[Sequence[View], random.Random], Turn]] = {
    "compare": _compare,
    "describe one": _describe_one,
    "exists any": _exists_any,
}
WEIGHTS = dict(zip(MAKERS, (2.0, 1.0, 2.5), strict=True))


def pair_turn(views: Sequence[View], rng: random.Random, kind: str = "") -> Turn:
    """A question about two pictures."""
    kind = kind or rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    return MAKERS[kind](views, rng)


def pair_of(make: Callable[[random.Random], list], rng: random.Random) -> tuple[View, View]:  # type: ignore[type-arg]
    """Two lists, often of one place at two times: then most things are in both."""
    first = make(rng)
    if rng.random() < 0.4:
        return View(first), View(make(rng))
    kept = [thing for thing in first if rng.random() < 0.7]
    other = [thing for thing in make(rng) if rng.random() < 0.5]
    second = sorted([*kept, *other], key=lambda thing: -thing.score)
    return View(first), View(second)
