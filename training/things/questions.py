"""Questions about a reported list, each with its true answer."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from training.things import answers, captions
from training.things.kinds import (
    COLOURS,
    KINDS,
    MAY_BE_ON,
    MORE_THAN_KNOWN,
    SYNONYMS,
    plural_of,
    single,
    with_article,
)
from training.things.phrasing import (
    ENDINGS,
    GROUP_WORDS,
    HELD,
    HELD_NOUNS,
    LOCATIONS,
    NUMBER_TAILS,
    OPENINGS,
    PLACES_OUTSIDE,
    SIDE_WORDS,
    TAILS,
    UNKNOWN_NOUNS,
    YES_NO_TAILS,
)
from training.things.view import KINDS_NEAR, NO_COLOUR, SIDES, View
from training.things.wordings import wording

Maker = Callable[["Asker"], tuple[str, str]]


@dataclass(frozen=True)
class Question:
    """A question as typed, its kind, its answer and the kind of thing that it names, -1 for none."""

    kind: str
    text: str
    answer: str
    named: int = -1


class Asker:
    """Makes questions about one list; `held` takes the templates that training never sees.

    `more` is that of `wordings.wording`.
    """

    def __init__(self, view: View, rng: random.Random, *, held: bool = False, more: bool = False) -> None:
        self.view, self.rng, self.held, self.more = view, rng, held, more
        self.named = -1

    def template(self, kind: str) -> str:
        """One way to ask."""
        return self.rng.choice(HELD[kind]) if self.held else wording(kind, self.rng, more=self.more)

    def kind(self, present: float = 0.7) -> int:
        """A kind of thing: mostly one that is there."""
        if self.view.groups and self.rng.random() < present:
            return self.rng.choice(self.view.groups).kind
        return self.rng.randrange(len(KINDS))

    def filled(self, template: str, kind: int, **more: str) -> str:
        """The template with the kind's words, or sometimes with other words for it."""
        self.named, name = kind, KINDS[kind].name
        if self.rng.random() < 0.25:
            name = self.rng.choice((name, *SYNONYMS.get(name, ())))
        return worded(template, name, self.rng, **more)


def worded(template: str, name: str, rng: random.Random, **more: str) -> str:
    """A template with the words of one thing."""
    one = name if rng.random() < 0.3 else single(name)
    many = plural_of(name)
    if many.startswith("pairs of ") and rng.random() < 0.6:
        many = name
    a = with_article(name) if rng.random() < 0.9 else f"the {one}"
    return template.format(one=one, many=many, a=a, **more)


def _exists(ask: Asker) -> tuple[str, str]:
    kind = ask.kind(0.5)
    return ask.filled(ask.template("exists"), kind) + spot(ask.rng), answers.exists(ask.view, kind)


def spot(rng: random.Random) -> str:
    """Sometimes the place that a camera looks at; words for it that nobody knows change nothing."""
    draw = rng.random()
    if draw < 0.17:
        return f" {rng.choice(PLACES_OUTSIDE)}"
    if draw < 0.22:
        return f" {rng.choice(LOCATIONS)} the {rng.choice(UNKNOWN_NOUNS)}"
    return f" in {_letters(rng)}" if draw < 0.24 else ""


def _anyone(ask: Asker) -> tuple[str, str]:
    text = ask.template("anyone")
    answer = answers.exists(ask.view, 0)
    if text == "who is there":
        group = ask.view.group(0)
        answer = "nobody" if group is None else captions.noun(group)
    return text + spot(ask.rng), answer


def _more_than_known(ask: Asker) -> tuple[str, str]:
    word = ask.rng.choice(MORE_THAN_KNOWN)
    text = worded(ask.template("exists"), word, ask.rng) + spot(ask.rng)
    return text, "no" if ask.view.group(0) is None else "There is a person."


def _count(ask: Asker) -> tuple[str, str]:
    kind = ask.kind(0.75)
    return ask.filled(ask.template("count"), kind), str(ask.view.count_of([kind]))


def _count_all(ask: Asker) -> tuple[str, str]:
    return ask.template("count all"), str(len(ask.view.counted))


def _more(ask: Asker) -> tuple[str, str]:
    kind = ask.kind(0.85)
    count, template = ask.view.count_of([kind]), ask.template("more")
    number = max(2, count + ask.rng.choice((-2, -1, 0, 0, 1)))
    number = min(number, 8)
    if "more than" in template:
        truth = count > number
    elif "at least" in template:
        truth = count >= number
    elif "fewer" in template:
        truth = count < number
    else:
        truth = count == number
    word = str(number) if ask.rng.random() < 0.5 else captions.NUMBERS[number]
    return ask.filled(template, kind, number=word), answers.yes_no(truth)


def _where(ask: Asker) -> tuple[str, str]:
    kind = ask.kind(0.85)
    return ask.filled(ask.template("where"), kind), answers.where(ask.view, kind)


def _colour(ask: Asker) -> tuple[str, str]:
    kind = ask.kind(0.9)
    return ask.filled(ask.template("colour"), kind), answers.colour(ask.view, kind)


def _one_colour(ask: Asker, kind: int) -> int:
    """Mostly a colour that is there."""
    shown = [thing.shown for thing in ask.view.counted if thing.kind == kind and thing.shown != NO_COLOUR]
    other = [thing.shown for thing in ask.view.counted if thing.shown != NO_COLOUR]
    draw = ask.rng.random()
    if shown and draw < 0.5:
        return ask.rng.choice(shown)
    return ask.rng.choice(other) if other and draw < 0.7 else ask.rng.randrange(len(COLOURS))


def _colour_words(ask: Asker, colour: int) -> str:
    return "grey" if COLOURS[colour] == "gray" and ask.rng.random() < 0.5 else COLOURS[colour]


def _colour_check(ask: Asker) -> tuple[str, str]:
    kind = ask.kind(0.9)
    asked = _one_colour(ask, kind)
    text = ask.filled(ask.template("colour check"), kind, colour=_colour_words(ask, asked))
    return text, answers.colour_check(ask.view, kind, asked)


def _exists_coloured(ask: Asker) -> tuple[str, str]:
    kind = ask.kind(0.85)
    asked = _one_colour(ask, kind)
    text = ask.filled(ask.template("exists coloured"), kind, colour=_colour_words(ask, asked))
    return text + spot(ask.rng), answers.exists_coloured(ask.view, kind, asked)


def _beside(side: str) -> Maker:
    def make(ask: Asker) -> tuple[str, str]:
        able = [g.kind for g in ask.view.groups if ask.view.neighbour(g.main, side) >= 0]
        kind = ask.rng.choice(able) if able and ask.rng.random() < 0.65 else ask.kind(0.85)
        return ask.filled(ask.template(side), kind), answers.beside(ask.view, kind, side)

    return make


def _on_it(ask: Asker) -> tuple[str, str]:
    able = [group.some_on for group in ask.view.groups if group.some_on >= 0]
    kind = ask.rng.choice(able) if able and ask.rng.random() < 0.75 else ask.kind(0.85)
    return ask.filled(ask.template("on it"), kind), answers.on_it(ask.view, kind)


def _is_on(ask: Asker) -> tuple[str, str]:
    able = [(group.kind, group.some_on) for group in ask.view.groups if group.some_on >= 0]
    kind, under = ask.rng.choice(able) if able else ask.rng.choice(sorted(MAY_BE_ON))
    draw = ask.rng.random()
    if draw < 0.25:
        kind = ask.kind(0.9)
    elif draw < 0.5:
        under = ask.rng.choice(sorted(MAY_BE_ON))[1]
    text = ask.filled(ask.template("is on"), kind, other=single(KINDS[under].name))
    return text, answers.is_on(ask.view, kind, under)


def _extreme(template: str, which: str) -> Maker:
    return lambda ask: (ask.template(template), answers.extreme(ask.view, which))


def _side(ask: Asker) -> tuple[int, str]:
    column = ask.rng.randrange(3)
    return column, ask.rng.choice(SIDE_WORDS[column])


def _on_side(ask: Asker) -> tuple[str, str]:
    column, words = _side(ask)
    return ask.template("on side").format(side=words), answers.on_side(ask.view, column)


def _side_check(ask: Asker) -> tuple[str, str]:
    kind, (column, words) = ask.kind(0.85), _side(ask)
    return (
        ask.filled(ask.template("side check"), kind, side=words),
        answers.side_check(ask.view, kind, column),
    )


def _grouped(ask: Asker, template: str) -> tuple[int, str]:
    present = [KINDS[group.kind].super for group in ask.view.groups if KINDS[group.kind].super >= 0]
    group = ask.rng.choice(present) if present and ask.rng.random() < 0.6 else ask.rng.randrange(7)
    one, many = ask.rng.choice(GROUP_WORDS[group])
    text = ask.template(template).format(group=many, groupone=one)
    return group, text.replace(" a animal", " an animal").replace(" a a", " an a").replace(" a e", " an e")


def _exists_group(ask: Asker) -> tuple[str, str]:
    group, text = _grouped(ask, "exists group")
    return text + spot(ask.rng), answers.exists_super(ask.view, group)


def _count_group(ask: Asker) -> tuple[str, str]:
    group, text = _grouped(ask, "count group")
    return text, str(sum(found.count for found in answers.members_of(ask.view, group)))


def _kinds_of(ask: Asker) -> tuple[str, str]:
    group, text = _grouped(ask, "kinds of")
    return text, answers.kinds_of(ask.view, group)


def _fixed(template: str, say: Callable[[View], str]) -> Maker:
    return lambda ask: (ask.template(template), say(ask.view))


def _near(template: str, which: int) -> Maker:
    def make(ask: Asker) -> tuple[str, str]:
        able = [group.kind for group in ask.view.groups if group.kind in KINDS_NEAR]
        use = able and ask.rng.random() < 0.9
        kind = ask.rng.choice(able) if use else ask.rng.choice(sorted(KINDS_NEAR))
        return ask.filled(ask.template(template), kind), answers.near_check(ask.view, kind, which)

    return make


def _doing(ask: Asker) -> tuple[str, str]:
    able = [group.kind for group in ask.view.groups if group.on >= 0]
    kind = ask.rng.choice(able) if able and ask.rng.random() < 0.6 else ask.kind(0.85)
    return ask.filled(ask.template("doing"), kind), answers.doing(ask.view, kind)


def _letters(rng: random.Random) -> str:
    return "".join(rng.choice("bcdfghklmnprstvz") + rng.choice("aeiou") for _ in range(rng.randint(2, 4)))


def _unknown(ask: Asker) -> tuple[str, str]:
    pool = HELD_NOUNS if ask.held else UNKNOWN_NOUNS
    noun = ask.rng.choice(pool) if ask.held or ask.rng.random() < 0.8 else _letters(ask.rng)
    template = ask.template(ask.rng.choice(("exists", "exists", "count", "where", "colour", "left", "doing")))
    return worded(template, noun, ask.rng) + spot(ask.rng), answers.UNKNOWN


MAKERS: dict[str, Maker] = {
    "exists": _exists,
    "anyone": _anyone,
    "more than known": _more_than_known,
    "count": _count,
    "count all": _count_all,
    "more": _more,
    "where": _where,
    "colour": _colour,
    "colour check": _colour_check,
    "exists coloured": _exists_coloured,
    **{side: _beside(side) for side in SIDES},
    "on it": _on_it,
    "is on": _is_on,
    "largest": _extreme("largest", "largest"),
    "smallest": _extreme("smallest", "smallest"),
    "leftmost": _extreme("leftmost", "left"),
    "rightmost": _extreme("rightmost", "right"),
    "topmost": _extreme("topmost", "top"),
    "lowest": _extreme("lowest", "bottom"),
    "central": _extreme("central", "central"),
    "on side": _on_side,
    "side check": _side_check,
    "exists group": _exists_group,
    "count group": _count_group,
    "kinds of": _kinds_of,
    "list": _fixed("list", answers.listing),
    "short": _fixed("short", captions.short),
    "detailed": _fixed("detailed", captions.detailed),
    "title": _fixed("title", captions.title),
    "inside": _fixed("inside", answers.inside),
    "is inside": _fixed("is inside", lambda view: answers.inside_check(view, 1)),
    "is outside": _fixed("is outside", lambda view: answers.inside_check(view, -1)),
    "scene": _fixed("scene", answers.scene),
    "near": _near("near", 1),
    "far": _near("far", 2),
    "doing": _doing,
    "text": _fixed("text", lambda _: answers.UNREAD),
    "who": _fixed("who", lambda _: answers.WHO),
    "able": _fixed("able", lambda _: answers.WHAT),
    "untold": _fixed("untold", lambda _: answers.UNTOLD),
    "unknown": _unknown,
}
_BARE = frozenset({"text", "who", "able", "untold", "title"})
_COMMANDS = frozenset(
    {"describe", "list", "count", "name", "locate", "find", "tell", "give", "look", "search", "check"}
    | {"write", "please", "show", "identify", "enumerate", "suggest", "point", "say", "report", "state"}
)
_YES_NO = frozenset(
    {"exists", "anyone", "more", "colour check", "exists coloured", "is on", "side check", "exists group"}
    | {"is inside", "is outside", "near", "far"}
)


def question(
    view: View, kind: str, rng: random.Random, *, held: bool = False, more: bool = False
) -> Question:
    """A question of the kind as people type it, with its answer."""
    ask = Asker(view, rng, held=held, more=more)
    text, answer = MAKERS[kind](ask)
    return Question(kind, typed(text, kind, rng), answer, ask.named)


def typed(text: str, kind: str, rng: random.Random) -> str:
    """With what people put around a question."""
    if kind not in _BARE and not text.endswith("?") and rng.random() < 0.35:
        text += rng.choice(ENDINGS)
    command = text.split(" ", 1)[0] in _COMMANDS
    if not text.endswith("?"):
        text += "." if command and rng.random() < 0.6 else "?" if not command and rng.random() < 0.85 else ""
    if rng.random() < 0.12:
        text = rng.choice(OPENINGS) + text
    elif rng.random() < 0.03:
        text = f"{rng.choice(('', 'hey ', 'dear ', 'hello '))}{_letters(rng)}, {text}"
    if rng.random() < 0.12 and kind not in ("short", "detailed", "title", "who", "able"):
        tails: tuple[str, ...] = TAILS
        if kind in _YES_NO and text.split(" ", 1)[0] != "who":
            tails = (*YES_NO_TAILS, *TAILS)
        elif kind.startswith("count"):
            tails = (*NUMBER_TAILS, *TAILS)
        text += rng.choice(tails)
    return text[:1].upper() + text[1:] if rng.random() < 0.8 else text
