"""What a reported list says: groups, places, neighbours. All that is ever said follows from a `View`.

`training/things/facts.py` computes the same from a tensor; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from training.things.kinds import KINDS, MAY_BE_ON, SCENES, STRONG

ROWS = 24
DOUBT = 0.42
"""Things below this score are there only probably."""
DOMINANT = 0.35
"""The least share of its box that a colour has to have to be the thing's."""
NO_COLOUR, MIXED = 12, 13
LEFT, RIGHT, TOP, BOTTOM = 0.37, 0.63, 0.33, 0.67
FILLING = 0.5
APART = 0.08
NEAR, FAR, LEAST_EXTENT = 2.3, 8.5, 0.5
PERSON, ANIMAL, VEHICLE = 1.6, 1.4, 1.2
SIDES = ("left", "right", "above", "below")
KINDS_NEAR = frozenset(index for index, kind in enumerate(KINDS) if kind.extent >= LEAST_EXTENT)
"""Kinds large enough to be told near or far."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Thing:
    """A row of the list: an index of `KINDS`, a box in shares of the picture, a colour (-1 for none)."""

    kind: int
    score: float
    box: Box
    colour: int = -1
    share: float = 0.0

    @property
    def x(self) -> float:
        """The centre's place from the left."""
        return (self.box[0] + self.box[2]) / 2

    @property
    def y(self) -> float:
        """The centre's place from the top."""
        return (self.box[1] + self.box[3]) / 2

    @property
    def area(self) -> float:
        """Share of the picture."""
        return (self.box[2] - self.box[0]) * (self.box[3] - self.box[1])

    @property
    def sure(self) -> bool:
        """Whether it is said without doubt."""
        return self.score >= DOUBT

    @property
    def shown(self) -> int:
        """The colour that dominates it, or `NO_COLOUR`."""
        return self.colour if self.colour >= 0 and self.share >= DOMINANT else NO_COLOUR

    @property
    def column(self) -> int:
        """0 left, 1 middle, 2 right."""
        return (self.x >= LEFT) + (self.x > RIGHT)

    @property
    def place(self) -> int:
        """3 x row + column; 9 where it fills the picture."""
        return 9 if self.area > FILLING else 3 * ((self.y >= TOP) + (self.y > BOTTOM)) + self.column

    @property
    def nearness(self) -> int:
        """1 near, 2 far, 0 neither or not to be told."""
        extent = KINDS[self.kind].extent
        if extent < LEAST_EXTENT:
            return 0
        size = max(self.box[2] - self.box[0], self.box[3] - self.box[1])
        return 1 if extent < NEAR * size else 2 if extent > FAR * size else 0

    @property
    def salience(self) -> float:
        """How much it is the picture's subject."""
        kind = KINDS[self.kind]
        boost = {0: ANIMAL, 1: VEHICLE}.get(kind.super, PERSON if self.kind == 0 else 1.0)
        return float(max(self.area, 0.0) ** 0.5 * (0.5 + self.score) * boost)

    def row(self) -> list[float]:
        """The eight numbers of the tensor."""
        return [self.kind, self.score, *self.box, self.colour, self.share]


EMPTY_ROW = (-1.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0)


def tensor_rows(things: Sequence[Thing]) -> list[list[float]]:
    """24 rows of eight numbers, the empty ones last."""
    rows = [thing.row() for thing in things[:ROWS]]
    return rows + [list(EMPTY_ROW)] * (ROWS - len(rows))


@dataclass(frozen=True)
class Group:
    """All things of a kind that count; the first member is the main one.

    `on` is the kind that all members are on, `some_on` that at least one is on, or -1.
    """

    kind: int
    members: tuple[Thing, ...]
    sure: bool
    on: int = -1
    some_on: int = -1

    @property
    def main(self) -> Thing:
        """The member that the picture shows most."""
        return self.members[0]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.members)

    @property
    def colour(self) -> int:
        """What all members have, or `MIXED`."""
        shown = {member.shown for member in self.members}
        return shown.pop() if len(shown) == 1 else MIXED

    @property
    def columns(self) -> int:
        """A bit for each of left, middle, right that has a member."""
        return sum({1 << member.column for member in self.members})


def is_on(one: Thing, other: Thing) -> bool:
    """Whether boxes show one thing on another: over it, and touching it."""
    if (one.kind, other.kind) not in MAY_BE_ON:
        return False
    x0, y0, x1, y1 = other.box
    return x0 <= one.x <= x1 and one.box[3] > y0 and one.y < other.y and one.box[3] <= y1 + 0.15


def beside(one: Thing, other: Thing, side: str) -> bool:
    """Whether `one` is to that side of `other`, on the axis that separates them more."""
    across, down = one.x - other.x, one.y - other.y
    along, aside = (across, down) if side in ("left", "right") else (down, across)
    along = -along if side in ("left", "above") else along
    return along > APART and along > abs(aside)


class View:
    """A reported list, and what follows from it."""

    def __init__(self, things: Sequence[Thing]) -> None:
        self.things = list(things[:ROWS])

    @cached_property
    def counted(self) -> list[Thing]:
        """The sure things, and the others of kinds that have no sure one, in the order of rows."""
        sure = {thing.kind for thing in self.things if thing.sure}
        return [thing for thing in self.things if thing.sure or thing.kind not in sure]

    @cached_property
    def groups(self) -> list[Group]:
        """The kinds, the sure ones first, then by what the picture shows most."""
        found: dict[int, list[Thing]] = {}
        for thing in self.counted:
            found.setdefault(thing.kind, []).append(thing)
        made = [self._group(kind, members) for kind, members in found.items()]
        return sorted(made, key=lambda group: (not group.sure, -group.main.salience))

    def _group(self, kind: int, members: list[Thing]) -> Group:
        ordered = tuple(sorted(members, key=lambda thing: -thing.salience))
        under = [{other.kind for other in self.counted if is_on(thing, other)} for thing in members]
        shared, some = set.intersection(*under), set.union(*under)
        return Group(kind, ordered, members[0].sure, min(shared, default=-1), min(some, default=-1))

    def group(self, kind: int) -> Group | None:
        """The group of a kind."""
        return next((group for group in self.groups if group.kind == kind), None)

    def neighbour(self, thing: Thing, side: str) -> int:
        """The kind of the nearest thing to that side, or -1."""
        others = [other for other in self.counted if other is not thing and beside(other, thing, side)]
        nearest = min(
            others, key=lambda other: (other.x - thing.x) ** 2 + (other.y - thing.y) ** 2, default=None
        )
        return -1 if nearest is None else nearest.kind

    def count_of(self, kinds: Iterable[int]) -> int:
        """How many things of these kinds there are."""
        wanted = set(kinds)
        return sum(thing.kind in wanted for thing in self.counted)

    def extreme(self, which: str) -> Thing | None:
        """The counted thing that is most so: largest, smallest, left, right, top, bottom, central."""
        measures = {
            "largest": lambda thing: -thing.area,
            "smallest": lambda thing: thing.area,
            "left": lambda thing: thing.x,
            "right": lambda thing: -thing.x,
            "top": lambda thing: thing.y,
            "bottom": lambda thing: -thing.y,
            "central": lambda thing: (thing.x - 0.5) ** 2 + (thing.y - 0.5) ** 2,
        }
        return min(self.counted, key=measures[which], default=None)

    @cached_property
    def inside(self) -> int:
        """1 where the sure things show that it is indoors, -1 outdoors, 0 where they do not say."""
        told = sum(KINDS[group.kind].inside for group in self.groups if group.sure)
        return (told > 0) - (told < 0)

    @cached_property
    def scene(self) -> int:
        """The index of `SCENES` that the sure things show, 0 for none."""
        weights = [0] * len(SCENES)
        for group in self.groups:
            if group.sure:
                weights[KINDS[group.kind].scene] += 2 if group.kind in STRONG else 1
        weights[0] = 1
        return weights.index(max(weights))


EXTREMES = ("largest", "smallest", "left", "right", "top", "bottom", "central")
