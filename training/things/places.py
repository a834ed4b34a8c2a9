"""Answers with places: `<loc_N>` tokens as Florence-2 writes them, from the boxes of a reported list."""

from __future__ import annotations

import random
from collections.abc import Sequence

from training.things.captions import detailed, noun, short
from training.things.kinds import COLOURS, KINDS, MORE_THAN_KNOWN, SYNONYMS, plural_of, single, with_article
from training.things.view import NO_COLOUR, Box, Thing, View

STEPS = 1000
SAME = 0.5
"""The least overlap at which a box asked about is that of a thing."""
PROMPTS = {
    "od": "Locate the objects with category name in the image.",
    "dense regions": "Locate the objects in the image, with their descriptions.",
    "proposals": "Locate the region proposals in the image.",
    "grounding": "Locate the phrases in the caption: {}",
    "open vocabulary": "Locate {} in the image.",
    "region category": "What is the region {}?",
    "region description": "What does the region {} describe?",
}
NOTHING_THERE = "nothing that I know"
Phrase = tuple[str, Sequence[Thing]]


def step(value: float) -> int:
    """The location that a share of a side falls into."""
    return min(STEPS - 1, int(value * STEPS))


def located(box: Box) -> str:
    """A box as four location tokens."""
    return "".join(f"<loc_{step(value)}>" for value in box)


def coloured_name(thing: Thing) -> str:
    """`red car`; people have no colour."""
    colour = "" if thing.shown == NO_COLOUR or thing.kind == 0 else f"{COLOURS[thing.shown]} "
    return colour + KINDS[thing.kind].name


def objects(view: View) -> str:
    """Every row with its name, in the order of rows."""
    return "".join(KINDS[thing.kind].name + located(thing.box) for thing in view.things)


def regions(view: View) -> str:
    """Every row with its colour and name."""
    return "".join(coloured_name(thing) + located(thing.box) for thing in view.things)


def proposals(view: View) -> str:
    """The boxes alone."""
    return "".join(located(thing.box) for thing in view.things)


def phrases(found: Sequence[Phrase]) -> str:
    """Phrases with the boxes of what they name; those that name nothing are left out."""
    return "".join(text + "".join(located(thing.box) for thing in things) for text, things in found if things)


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    if wide <= 0 or high <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return wide * high / (sum(areas) - wide * high)


class Locator:
    """Makes prompts of the tasks that take a phrase or a box, with their answers."""

    def __init__(self, view: View, rng: random.Random) -> None:
        self.view, self.rng = view, rng

    def _kind(self, present: float) -> int:
        if self.view.groups and self.rng.random() < present:
            return self.rng.choice(self.view.groups).kind
        return self.rng.randrange(len(KINDS))

    def _word(self, kind: int) -> str:
        name = KINDS[kind].name
        more = (*SYNONYMS.get(name, ()), *(MORE_THAN_KNOWN if kind == 0 else ()))
        return self.rng.choice(more) if more and self.rng.random() < 0.25 else name

    def phrase(self, present: float, *, every: bool) -> Phrase:
        """A noun phrase and what it names: one thing or, if `every` or in the plural, all of the kind."""
        kind = self._kind(present)
        found = self._members(kind)
        colours = [thing.shown for thing in found if thing.shown != NO_COLOUR]
        word, draw = self._word(kind), self.rng.random()
        if draw < 0.25:
            colour = (
                self.rng.choice(colours) if colours and self.rng.random() < 0.75 else self.rng.randrange(12)
            )
            matching = [thing for thing in found if thing.shown == colour]
            return self._said(f"{COLOURS[colour]} {single(word)}"), self._named(matching, every)
        if draw < 0.5:
            number = self.rng.choice(("", "", "the ", "some ", "two ", "three ", "all "))
            return number + plural_of(word), found
        return self._said(single(word)), self._named(found, every)

    def _said(self, words: str) -> str:
        return self.rng.choice((words, f"the {words}", with_article(words), with_article(words)))

    def _named(self, found: Sequence[Thing], every: bool) -> Sequence[Thing]:
        """All of them, or the one that the picture shows most."""
        return found if every or not found else [max(found, key=lambda thing: thing.salience)]

    def open_vocabulary(self) -> tuple[str, str]:
        """One phrase or a few, with all that they name."""
        count = self.rng.choices((1, 2, 3), (75, 17, 8))[0]
        found = [self.phrase(0.8, every=True) for _ in range(count)]
        between, end = self.rng.choice(((", ", ""), (". ", "."), (" and ", ""), ("; ", "")))
        end = end if count > 1 or self.rng.random() < 0.5 else ""
        return between.join(text for text, _ in found) + end, phrases(_distinct(found))

    def grounding(self) -> tuple[str, str]:
        """A caption, ours or as people write them, with the things that its phrases name."""
        if self.rng.random() < 0.3:
            return self._own_caption()
        count = self.rng.choices((1, 2, 3), (35, 45, 20))[0]
        found = [self.phrase(0.8, every=False) for _ in range(count)]
        texts = [text for text, _ in found]
        links = [self.rng.choice(_LINKS) for _ in texts[1:]]
        caption = texts[0] + "".join(f" {link} {text}" for link, text in zip(links, texts[1:], strict=True))
        if self.rng.random() < 0.3:
            caption += f" {self.rng.choice(_TRAILS)}"
        if self.rng.random() < 0.4:
            caption += "."
        return caption[:1].upper() + caption[1:], phrases(_distinct(found))

    def _own_caption(self) -> tuple[str, str]:
        text = short(self.view) if self.rng.random() < 0.7 else detailed(self.view).split(". ")[0] + "."
        words = [group for group in self.view.groups if noun(group) in text.lower()]
        words.sort(key=lambda group: text.lower().index(noun(group)))
        chosen = [(noun(group), self._members(group.kind)) for group in words]
        return text, phrases(chosen)

    def _members(self, kind: int) -> list[Thing]:
        return [thing for thing in self.view.counted if thing.kind == kind]

    def region(self) -> tuple[str, Thing | None]:
        """A box near that of a thing, or where nothing is."""
        things = self.view.things
        box = self._empty_box()
        if things and self.rng.random() < 0.85:
            box = self._near(self.rng.choice(things).box)
        best = max(things, key=lambda thing: overlap(thing.box, box), default=None)
        if best is None or overlap(best.box, box) < SAME:
            best = None
        return located(box), best

    def _near(self, box: Box) -> Box:
        width, height = box[2] - box[0], box[3] - box[1]
        spread = self.rng.choice((0.0, 0.01, 0.03, 0.05))
        moved = [
            min(0.999, max(0.0, value + self.rng.gauss(0, spread) * side))
            for value, side in zip(box, (width, height, width, height), strict=True)
        ]
        return (moved[0], moved[1], moved[2], moved[3])

    def _empty_box(self) -> Box:
        x, y = self.rng.uniform(0, 0.8), self.rng.uniform(0, 0.8)
        return (x, y, x + self.rng.uniform(0.05, 0.2), y + self.rng.uniform(0.05, 0.2))


_LINKS = (
    "and",
    "next to",
    "with",
    "near",
    "on",
    "beside",
    "in front of",
    "behind",
    "holding",
    "riding",
    "under",
)
_TRAILS = ("outside", "in the sun", "on a sunny day", "at night", "in the street", "in a room", "together")


def _distinct(found: Sequence[Phrase]) -> list[Phrase]:
    """No phrase twice."""
    return list({text: (text, things) for text, things in found}.values())


def described(thing: Thing | None) -> str:
    """`a red car`, `probably a horse`."""
    if thing is None:
        return NOTHING_THERE
    name = coloured_name(thing)
    colour, _, _ = name.rpartition(KINDS[thing.kind].name)
    words = with_article(colour + single(KINDS[thing.kind].name)) if colour else with_article(name)
    return words if thing.sure else f"probably {words}"


def category(thing: Thing | None) -> str:
    """The kind's name."""
    return NOTHING_THERE if thing is None else KINDS[thing.kind].name


def task(view: View, kind: str, rng: random.Random) -> tuple[str, str]:
    """Prompt and answer of one of `PROMPTS`."""
    locator = Locator(view, rng)
    if kind in ("grounding", "open vocabulary"):
        made = locator.grounding() if kind == "grounding" else locator.open_vocabulary()
        return PROMPTS[kind].format(made[0]), made[1]
    if kind.startswith("region "):
        box, thing = locator.region()
        return PROMPTS[kind].format(box), (category if kind == "region category" else described)(thing)
    say = {"od": objects, "dense regions": regions, "proposals": proposals}[kind]
    return PROMPTS[kind], say(view)
