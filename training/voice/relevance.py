"""Which tokens of a list an answer is taken from: a further target of training, dropped after it.

The encoder learns in minutes to mark what a question is about when it is told what that is; from answers
alone it had not learnt after 200,000 of them which side of a thing was meant.
"""

from __future__ import annotations

import re

from training.things.encoder import A_GROUP, A_THING, COLUMNS, GROUPS
from training.things.kinds import SUPERS
from training.things.orders import NAMED_IN_A_COLUMN
from training.things.phrasing import SIDE_WORDS
from training.things.places import PROMPTS, SAME, STEPS, overlap, step
from training.things.view import EXTREMES, SIDES, Thing, View
from training.voice.samples import Sample

_FIRST_GLOBAL = A_GROUP * GROUPS
_EXTREMES = _FIRST_GLOBAL + 2
_SUPERS = _EXTREMES + len(EXTREMES)
_COLUMNS = _SUPERS + len(SUPERS)
_THINGS = _COLUMNS + COLUMNS + 2
_ON = 5
_WHAT = frozenset(
    {"exists", "count", "where", "colour", "colour check", "exists coloured", "side check", "near", "far"}
    | {"more", "anyone", "more than known"}
)
_WHICH = dict(
    zip(
        ("largest", "smallest", "leftmost", "rightmost", "topmost", "lowest", "central"),
        EXTREMES,
        strict=True,
    )
)
_GLOBAL = {
    "count all": [_FIRST_GLOBAL],
    **{kind: [_FIRST_GLOBAL + 1] for kind in ("inside", "is inside", "is outside", "scene")},
    **{kind: [_EXTREMES + EXTREMES.index(which)] for kind, which in _WHICH.items()},
}
_BOX = re.compile(r"<loc_(\d+)><loc_(\d+)><loc_(\d+)><loc_(\d+)>")


def relevant(sample: Sample) -> list[int] | None:
    """Indices of `ThingsEncoder`'s tokens, or None where no particular ones are meant."""
    view = View(sample.things)
    if sample.kind in PROMPTS:
        return _boxes(view, sample)
    if not sample.kind.startswith("vqa "):
        return None
    kind = sample.kind.removeprefix("vqa ")
    if kind == "on side":
        return _column(view, sample.prompt)
    return _GLOBAL.get(kind) or _of_group(view, kind, sample.named)


def _boxes(view: View, sample: Sample) -> list[int] | None:
    """What tasks with boxes are about, where they name a phrase or a region."""
    if sample.kind in ("grounding", "open vocabulary"):
        return _named_boxes(view, sample.answer)
    return _region(view, sample.prompt) if sample.kind.startswith("region ") else None


def _of_group(view: View, kind: str, named: int) -> list[int] | None:
    """What is said of the group that a question names."""
    named = 0 if kind in ("anyone", "more than known") else named
    places = [place for place, group in enumerate(view.groups[:GROUPS]) if group.kind == named]
    if kind in _WHAT:
        return [A_GROUP * place for place in places]
    if kind in SIDES:
        return [A_GROUP * place + 1 + SIDES.index(kind) for place in places]
    if kind in ("is on", "doing"):
        return [A_GROUP * place + _ON for place in places]
    if kind == "on it":
        return [A_GROUP * place + _ON for place, group in enumerate(view.groups) if group.some_on == named]
    return None


def _column(view: View, prompt: str) -> list[int] | None:
    """The kinds that stand in a third of the picture."""
    text = prompt.lower()
    found = [column for column, words in enumerate(SIDE_WORDS) if any(each in text for each in words)]
    if len(found) != 1:
        return None
    there = sum(group.columns >> found[0] & 1 for group in view.groups[:GROUPS])
    first = _COLUMNS + NAMED_IN_A_COLUMN * found[0]
    return [first + place for place in range(min(there, NAMED_IN_A_COLUMN) or 1)]


def _named_boxes(view: View, answer: str) -> list[int]:
    """The things whose boxes an answer gives."""
    boxes = {tuple(map(int, found)) for found in _BOX.findall(answer)}
    return _rows([row for row, thing in enumerate(view.things) if _steps(thing) in boxes])


def _region(view: View, prompt: str) -> list[int]:
    """The thing in the box of a prompt."""
    found = _BOX.search(prompt)
    assert found is not None
    left, top, right, bottom = (int(place) / STEPS for place in found.groups())
    shares = [overlap(thing.box, (left, top, right, bottom)) for thing in view.things]
    best = max(shares, default=0.0)
    return _rows([shares.index(best)]) if best >= SAME else []


def _rows(rows: list[int]) -> list[int]:
    return [_THINGS + A_THING * row + place for row in rows for place in range(A_THING)]


def _steps(thing: Thing) -> tuple[int, ...]:
    return tuple(step(value) for value in thing.box)
