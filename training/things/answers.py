"""Answers to questions about a reported list: each a function of the `View` and of what is asked for."""

from __future__ import annotations

from training.things.captions import counted_noun, joined, listed, place_of
from training.things.kinds import COLOURS, KINDS, SCENES, SUPERS, with_article
from training.things.view import MIXED, NO_COLOUR, Group, View

UNKNOWN = "I do not know that kind of thing."
UNTOLD = "I cannot tell."
UNREAD = "I cannot read text."
NONE = "nothing that I know"
WHO = "I am a small embedded model. I know 80 kinds of everyday things."
WHAT = "I find 80 kinds of everyday things: people, animals, vehicles, food, furniture and more."


def absent(name: str) -> str:
    """What is said where a thing is asked about that is not there."""
    return f"I see no {name}."


def yes_no(truth: bool) -> str:
    """The word."""
    return "yes" if truth else "no"


def exists(view: View, kind: int) -> str:
    """Yes, no, or `probably` where it is doubtful."""
    group = view.group(kind)
    return "no" if group is None else "yes" if group.sure else "probably"


def members_of(view: View, group: int) -> list[Group]:
    """The kinds of one of `SUPERS` that are there."""
    return [found for found in view.groups if KINDS[found.kind].super == group]


def exists_super(view: View, group: int) -> str:
    """As `exists`, for animals, vehicles and so on."""
    found = members_of(view, group)
    return "no" if not found else "yes" if found[0].sure else "probably"


def exists_coloured(view: View, kind: int, colour: int) -> str:
    """Whether a thing of the kind has the colour."""
    return yes_no(any(thing.kind == kind and thing.shown == colour for thing in view.counted))


def where(view: View, kind: int) -> str:
    """The place of the thing, or the sides where several are."""
    group = view.group(kind)
    return absent(KINDS[kind].name) if group is None else place_of(group)


def colour(view: View, kind: int) -> str:
    """The colour that dominates."""
    group = view.group(kind)
    if group is None:
        return absent(KINDS[kind].name)
    if group.colour == MIXED:
        return "different colors"
    return "no single color" if group.colour == NO_COLOUR else COLOURS[group.colour]


def colour_check(view: View, kind: int, asked: int) -> str:
    """Whether all things of the kind have the colour."""
    group = view.group(kind)
    return absent(KINDS[kind].name) if group is None else yes_no(group.colour == asked)


def beside(view: View, kind: int, side: str) -> str:
    """The nearest thing on that side of the main thing of the kind."""
    group = view.group(kind)
    if group is None:
        return absent(KINDS[kind].name)
    found = view.neighbour(group.main, side)
    return NONE if found < 0 else with_article(KINDS[found].name)


def on_it(view: View, kind: int) -> str:
    """What is on a thing of the kind."""
    if view.group(kind) is None:
        return absent(KINDS[kind].name)
    over = [
        counted_noun(group.kind, group.count if group.on == kind else 1)
        for group in view.groups
        if group.some_on == kind
    ]
    return joined(over[:3]) if over else NONE


def is_on(view: View, kind: int, under: int) -> str:
    """Whether a thing of one kind is on one of the other."""
    group = view.group(kind)
    if group is None:
        return absent(KINDS[kind].name)
    return yes_no(group.some_on == under)


def extreme(view: View, which: str) -> str:
    """The largest thing, the leftmost one and so on."""
    found = view.extreme(which)
    if found is None:
        return NONE
    doubt = "" if found.sure else "probably "
    return f"{doubt}{with_article(KINDS[found.kind].name)}"


def on_side(view: View, column: int) -> str:
    """The kinds that are in a third of the picture, the first three."""
    found = [with_article(KINDS[group.kind].name) for group in view.groups if group.columns >> column & 1]
    return joined(found[:3]) if found else NONE


def kinds_of(view: View, group: int) -> str:
    """Which animals, vehicles and so on there are, with their numbers."""
    found = members_of(view, group)
    return listed(found, 4) if found else absent(SUPERS[group])


def listing(view: View) -> str:
    """The kinds by name, the first eight."""
    return ", ".join(KINDS[group.kind].name for group in view.groups[:8]) or NONE


def inside(view: View) -> str:
    """Indoors, outdoors or not to be told."""
    return {1: "indoors", -1: "outdoors", 0: UNTOLD}[view.inside]


def inside_check(view: View, asked: int) -> str:
    """Whether it is indoors (1) or outdoors (-1)."""
    return UNTOLD if view.inside == 0 else yes_no(view.inside == asked)


def scene(view: View) -> str:
    """What place the things show."""
    return SCENES[view.scene] if view.scene else UNTOLD


def near_check(view: View, kind: int, asked: int) -> str:
    """Whether the main thing of the kind is near (1) or far (2)."""
    group = view.group(kind)
    return absent(KINDS[kind].name) if group is None else yes_no(group.main.nearness == asked)


def side_check(view: View, kind: int, place: int) -> str:
    """Whether the kind is on the left (0), in the middle (1) or on the right (2)."""
    group = view.group(kind)
    return absent(KINDS[kind].name) if group is None else yes_no(bool(group.columns >> place & 1))


def doing(view: View, kind: int) -> str:
    """What a thing does cannot be told, but what all of its kind are on can."""
    group = view.group(kind)
    if group is None:
        return absent(KINDS[kind].name)
    return f"on {with_article(KINDS[group.on].name)}" if group.on >= 0 else UNTOLD
