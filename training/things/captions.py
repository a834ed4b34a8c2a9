"""Captions of a reported list, in three lengths. Every one of them follows from the `View`."""

from __future__ import annotations

from collections.abc import Sequence

from training.things.kinds import COLOURS, KINDS, SCENES, single, with_article
from training.things.view import MIXED, NO_COLOUR, Group, View

NUMBERS = (
    *("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven"),
    *("twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
    *("twenty", "twenty-one", "twenty-two", "twenty-three", "twenty-four"),
)
PLACES = (
    *("at the top left", "at the top", "at the top right", "on the left", "in the middle", "on the right"),
    *("at the bottom left", "at the bottom", "at the bottom right", "filling most of the picture"),
)
_COLUMNS = ("", "on the left", "in the middle", "on the left and in the middle", "on the right")
COLUMN_SETS = (
    *_COLUMNS,
    *("on the left and on the right", "in the middle and on the right", "all over the picture"),
)
DISTANCES = ("", ", close to the camera", ", far away")
NOTHING = "Nothing that I know is in this picture."
SHORT, ON, WITH, DOUBTFUL = 4, 3, 2, 2


def counted_noun(kind: int, count: int) -> str:
    """`a dog`, `two dogs`."""
    if count == 1:
        return with_article(KINDS[kind].name)
    return f"{NUMBERS[count]} {KINDS[kind].plural}"


def noun(group: Group) -> str:
    """The group with its number."""
    return counted_noun(group.kind, group.count)


def joined(parts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def listed(groups: Sequence[Group], most: int, *, more: bool = False) -> str:
    """The first groups as a list; `and more` where some are left out."""
    names = [noun(group) for group in groups[:most]]
    return joined([*names, "more"] if more or len(groups) > most else names)


def capital(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]


def gist(view: View) -> str:
    """The sure things, or the doubtful ones, as one phrase without a capital; empty for none."""
    sure = [group for group in view.groups if group.sure]
    if not sure:
        return listed(view.groups, DOUBTFUL) if view.groups else ""
    under = next((group.on for group in sure if group.on >= 0 and _is_sure(view, group.on)), -1)
    if under < 0:
        return listed(sure, SHORT)
    below = view.group(under)
    assert below is not None
    over = [group for group in sure if group.on == under]
    rest = [group for group in sure if group.on != under and group is not below]
    text = f"{listed(over, ON)} on {noun(below)}"
    return f"{text}, with {listed(rest, WITH)}" if rest else text


def _is_sure(view: View, kind: int) -> bool:
    group = view.group(kind)
    return group is not None and group.sure


def short(view: View) -> str:
    """One sentence without a verb: `Two dogs and a person on a bench.`"""
    if not view.groups:
        return NOTHING
    text = gist(view)
    return f"{capital(text)}." if view.groups[0].sure else f"Probably {text}."


def title(view: View) -> str:
    """The short caption as a title: no doubt, no full stop."""
    return capital(gist(view)) if view.groups else "Nothing known"


def named(group: Group) -> str:
    """`the red car`, `the dogs`: the group once it is known; people have no colour."""
    known = group.colour not in (NO_COLOUR, MIXED) and group.kind != 0
    colour = f"{COLOURS[group.colour]} " if known else ""
    name = KINDS[group.kind].plural if group.count > 1 else single(KINDS[group.kind].name)
    return f"the {colour}{name}"


def place_of(group: Group) -> str:
    """Where the group is: the place of the only thing, or the sides where several are."""
    return PLACES[group.main.place] if group.count == 1 else COLUMN_SETS[group.columns]


def place_sentence(group: Group) -> str:
    """`The red car is on the left, far away.`"""
    verb = "are" if group.count > 1 else "is"
    far = DISTANCES[group.main.nearness] if group.count == 1 else ""
    return f"{capital(named(group))} {verb} {place_of(group)}{far}."


def _opening(view: View) -> str:
    return f"The picture {'' if view.groups[0].sure else 'probably '}shows {gist(view)}."


def _doubts(view: View) -> list[str]:
    """A sentence about the doubtful things where there are sure ones too."""
    unsure = [group for group in view.groups if not group.sure]
    if not unsure or not view.groups[0].sure:
        return []
    return [f"Probably also {listed(unsure, DOUBTFUL)}."]


def detailed(view: View) -> str:
    """What there is, where the two main kinds are, and what is doubtful."""
    if not view.groups:
        return NOTHING
    places = [place_sentence(group) for group in view.groups[:2] if group.sure]
    return " ".join([_opening(view), *places, *_doubts(view)])


def more_detailed(view: View) -> str:
    """A paragraph: also what is beside the main thing, the scene, and how many things there are."""
    if not view.groups:
        return NOTHING
    places = [place_sentence(group) for group in view.groups[:4] if group.sure]
    parts = [_opening(view), *places, *_beside(view), *_doubts(view), *setting(view)]
    count = len(view.counted)
    return " ".join([*parts, f"I count {NUMBERS[count]} thing{'s' if count > 1 else ''}."])


def _beside(view: View) -> list[str]:
    """What is to the left and right of the main thing."""
    main = view.groups[0]
    if main.count > 1 or not main.sure:
        return []
    found = [(side, view.neighbour(main.main, side)) for side in ("left", "right")]
    return [
        f"To the {side} of {named(main)} is {with_article(KINDS[kind].name)}."
        for side, kind in found
        if kind >= 0
    ]


def setting(view: View) -> list[str]:
    """What kind of place it is, where the things say so."""
    if view.scene:
        return [f"It looks like {SCENES[view.scene]}."]
    if view.inside:
        return [f"It is probably {'indoors' if view.inside > 0 else 'outdoors'}."]
    return []
