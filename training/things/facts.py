"""What `View` says of a list, for tensors: the same facts without loops, in operations that ONNX has."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from training.things.kinds import KINDS, MAY_BE_ON, SCENES, STRONG, SUPERS
from training.things.view import (
    ANIMAL,
    APART,
    BOTTOM,
    DOMINANT,
    DOUBT,
    FAR,
    FILLING,
    LEAST_EXTENT,
    LEFT,
    MIXED,
    NEAR,
    NO_COLOUR,
    PERSON,
    RIGHT,
    TOP,
    VEHICLE,
)

NO_KIND = len(KINDS)
_FAR_OFF = 1e6


@dataclass(frozen=True)
class Facts:
    """Whole numbers [batch, ...]. Kinds are 0 to 79, `NO_KIND` for none; truth is 1, falsehood 0.

    Of groups, in the order of `View.groups` [batch, groups]: kind, count, whether sure, colour, columns,
    place and nearness of the main thing, neighbours of it [batch, groups, 4], what all or some members are
    on, the part it has in the gist (0 over, 1 below, 2 rest, 3 other) and its rank there, and the kinds
    before it in that order, in the gist and among those of its super-group. Of things [batch, rows]: kind,
    shown colour and so on; `alike` is the row (from 1) of the last counted thing of the kind before it, or 0.
    """

    group: torch.Tensor
    count: torch.Tensor
    sure: torch.Tensor
    colour: torch.Tensor
    columns: torch.Tensor
    place: torch.Tensor
    near: torch.Tensor
    sides: torch.Tensor
    on: torch.Tensor
    some_on: torch.Tensor
    part: torch.Tensor
    gist_rank: torch.Tensor
    before: torch.Tensor
    gist_before: torch.Tensor
    super_before: torch.Tensor
    total: torch.Tensor
    scene: torch.Tensor
    inside: torch.Tensor
    extremes: torch.Tensor
    extremes_sure: torch.Tensor
    supers: torch.Tensor
    supers_sure: torch.Tensor
    kind: torch.Tensor
    shown: torch.Tensor
    thing_sure: torch.Tensor
    counted: torch.Tensor
    main: torch.Tensor
    row: torch.Tensor
    thing_place: torch.Tensor
    thing_on: torch.Tensor
    row_before: torch.Tensor
    alike: torch.Tensor
    steps: torch.Tensor


class _Rows:
    """Columns of the tensor, and what each row says by itself."""

    def __init__(self, things: torch.Tensor) -> None:
        number = torch.round(things[:, :, 0]).long()
        self.valid = number >= 0
        self.kind = torch.where(self.valid, number, torch.full_like(number, NO_KIND))
        self.score = things[:, :, 1]
        self.box = things[:, :, 2:6]
        x0, y0, x1, y1 = (things[:, :, index] for index in range(2, 6))
        self.x, self.y = (x0 + x1) / 2, (y0 + y1) / 2
        self.area = (x1 - x0) * (y1 - y0)
        self.size = torch.maximum(x1 - x0, y1 - y0)
        colour = torch.round(things[:, :, 6]).long()
        dominates = (colour >= 0) & (things[:, :, 7] >= DOMINANT)
        self.shown = torch.where(dominates, colour, torch.full_like(colour, NO_COLOUR))
        self.column = (self.x >= LEFT).long() + (self.x > RIGHT).long()
        level = (self.y >= TOP).long() + (self.y > BOTTOM).long()
        self.place = torch.where(self.area > FILLING, torch.full_like(level, 9), 3 * level + self.column)
        extent = _table([kind.extent for kind in KINDS])[self.kind]
        near = (extent < NEAR * self.size).long() + 2 * (extent > FAR * self.size).long()
        self.near = near * (extent >= LEAST_EXTENT).long()
        boosts = [ANIMAL if kind.super == 0 else VEHICLE if kind.super == 1 else 1.0 for kind in KINDS]
        boosts[0] = PERSON
        root = torch.sqrt(torch.clamp(self.area, min=0.0))
        self.salience = root * (0.5 + self.score) * _table(boosts)[self.kind]
        self.one_hot = (self.kind[:, :, None] == torch.arange(NO_KIND)).float()
        self.sure = self.valid & (self.score >= DOUBT)
        self.sure_kinds = (self.one_hot * self.sure.float()[:, :, None]).amax(1)
        mine = (self.one_hot * self.sure_kinds[:, None]).sum(-1) > 0.5
        self.counted = self.valid & (self.sure | ~mine)
        self.members = self.one_hot * self.counted.float()[:, :, None]


def _table(values: list[float]) -> torch.Tensor:
    """A number for each kind, and 0 for none."""
    return torch.tensor([*values, 0.0])


def _first(mask: torch.Tensor, none: int) -> torch.Tensor:
    """Index of the first true entry of the last axis, or `none`."""
    found = mask.float()
    return torch.where(found.amax(-1) > 0.5, found.argmax(-1), torch.full_like(found.argmax(-1), none))


def _take(values: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    """`values` [batch, n] at `indices` [batch, ...]."""
    return values.gather(1, indices.flatten(1)).view(indices.shape)


def _neighbours(rows: _Rows) -> torch.Tensor:
    """Kinds of the nearest counted things to the left, right, above and below: [batch, rows, 4]."""
    across = rows.x[:, None, :] - rows.x[:, :, None]  # of the second axis' thing, to that of the last
    down = rows.y[:, None, :] - rows.y[:, :, None]
    far = across**2 + down**2
    found = []
    for along, aside in ((-across, down), (across, down), (-down, across), (down, across)):
        beside = (along > APART) & (along > aside.abs()) & rows.counted[:, None, :]
        lengths = torch.where(beside, far, torch.full_like(far, _FAR_OFF))
        kind = _take(rows.kind, lengths.argmin(-1))
        found.append(torch.where(lengths.amin(-1) < _FAR_OFF, kind, torch.full_like(kind, NO_KIND)))
    return torch.stack(found, dim=-1)


def _on_kinds(rows: _Rows) -> torch.Tensor:
    """Whether a counted thing is on one of a kind: float32 [batch, rows, 80]."""
    able = torch.zeros(NO_KIND + 1, NO_KIND + 1)
    for one, other in sorted(MAY_BE_ON):
        able[one, other] = 1.0
    allowed = able.flatten()[rows.kind[:, :, None] * (NO_KIND + 1) + rows.kind[:, None, :]] > 0.5
    x0, y0, x1, y1 = (rows.box[:, None, :, index] for index in range(4))
    x, y, foot = rows.x[:, :, None], rows.y[:, :, None], rows.box[:, :, 3, None]
    touches = (x0 <= x) & (x <= x1) & (foot > y0) & (y < rows.y[:, None, :]) & (foot <= y1 + 0.15)
    both = rows.counted[:, :, None] & rows.counted[:, None, :]
    return ((allowed & touches & both).float() @ rows.one_hot > 0.5).float()


def _before(order: torch.Tensor, kinds: torch.Tensor) -> torch.Tensor:
    """The kind just before each in an order of numbers that differ: [batch, n]."""
    rank = (order[:, None, :] < order[:, :, None]).long().sum(-1)
    match = (rank[:, None, :] == rank[:, :, None] - 1).long()
    return (match * kinds[:, None, :]).sum(-1) + (1 - match.sum(-1)) * NO_KIND


def _super_before(kinds: torch.Tensor) -> torch.Tensor:
    """The last kind of the same super-group before each."""
    supers = torch.tensor([*(kind.super for kind in KINDS), -1])[kinds]
    places = torch.arange(kinds.shape[1])
    earlier = places[None, :] < places[:, None]
    same = (supers[:, None, :] == supers[:, :, None]) & (supers >= 0)[:, :, None] & earlier
    last = (same.long() * (places + 1)).amax(-1)
    padded = torch.cat([torch.full_like(kinds[:, :1], NO_KIND), kinds], dim=1)
    return _take(padded, last)


def _extremes(rows: _Rows) -> tuple[torch.Tensor, torch.Tensor]:
    """Kinds of the largest, smallest, leftmost things and so on, and whether they are sure."""
    middle = (rows.x - 0.5) ** 2 + (rows.y - 0.5) ** 2
    measures = torch.stack([-rows.area, rows.area, rows.x, -rows.x, rows.y, -rows.y, middle], dim=1)
    measures = torch.where(rows.counted[:, None, :], measures, torch.full_like(measures, _FAR_OFF))
    chosen, some = measures.argmin(-1), measures.amin(-1) < _FAR_OFF
    kinds = torch.where(some, _take(rows.kind, chosen), torch.full_like(chosen, NO_KIND))
    return kinds, _take(rows.sure.long(), chosen) * some.long()


def facts_of(things: torch.Tensor, groups: int) -> Facts:
    """The facts of lists [batch, rows, 8], of at most `groups` kinds each."""
    rows = _Rows(things)
    counts = rows.members.sum(1)
    weights = torch.where(rows.members > 0.5, rows.salience[:, :, None], torch.full_like(rows.members, -1.0))
    mains = weights.argmax(1)
    present = (counts > 0.5).float()
    order = (weights.amax(1) + 100 * rows.sure_kinds) * present - (1 - present)
    values, chosen = order.topk(groups, dim=1)
    kinds = torch.where(values > 0, chosen, torch.full_like(chosen, NO_KIND))
    main = _take(mains, chosen)
    on_kinds = _on_kinds(rows)
    there = (kinds < NO_KIND).long()
    sure = _take(rows.sure_kinds, chosen).long() * there
    on, some_on = _group_on(rows, on_kinds, counts, chosen, there)
    part, rank, gist_before = _gist(rows, kinds, sure, on)
    numbers = _take(counts, chosen).long() * there
    sides = _neighbours(rows)
    extremes, extremes_sure = _extremes(rows)
    supers = torch.tensor([[float(kind.super == number) for number in range(len(SUPERS))] for kind in KINDS])
    steps = torch.clamp(torch.floor(rows.box * 1000), 0, 999).long()
    indices = torch.arange(rows.kind.shape[1]).expand_as(rows.kind)
    there_rows = rows.members.amax(-1).long()
    is_main = (_take(_padded(mains), rows.kind) == indices).long() * there_rows
    super_counts = counts @ supers
    super_sure = ((rows.sure_kinds @ supers) > 0.5).long()
    return Facts(
        group=kinds,
        count=numbers,
        sure=sure,
        colour=_group_colours(rows, chosen),
        columns=_group_columns(rows, chosen),
        place=_take(rows.place, main),
        near=_take(rows.near, main),
        sides=torch.stack([_take(sides[:, :, side], main) for side in range(4)], dim=-1),
        on=on,
        some_on=some_on,
        part=part,
        gist_rank=rank,
        before=torch.cat([torch.full_like(kinds[:, :1], NO_KIND), kinds[:, :-1]], dim=1),
        gist_before=gist_before,
        super_before=_super_before(kinds),
        total=rows.counted.long().sum(1),
        scene=_scene(rows),
        inside=1 + torch.sign(rows.sure_kinds @ torch.tensor([float(kind.inside) for kind in KINDS])).long(),
        extremes=extremes,
        extremes_sure=extremes_sure,
        supers=super_counts.long(),
        supers_sure=super_sure * 2 + (1 - super_sure) * (super_counts > 0.5).long(),
        kind=rows.kind,
        shown=rows.shown,
        thing_sure=rows.sure.long(),
        counted=rows.counted.long(),
        main=is_main,
        row=indices,
        thing_place=rows.place,
        thing_on=_first(on_kinds > 0.5, NO_KIND),
        row_before=torch.cat([torch.full_like(rows.kind[:, :1], NO_KIND), rows.kind[:, :-1]], dim=1),
        alike=_alike(rows),
        steps=steps,
    )


def _padded(mains: torch.Tensor) -> torch.Tensor:
    """One more column, for no kind."""
    return torch.cat([mains, torch.full_like(mains[:, :1], -1)], dim=1)


def _group_on(
    rows: _Rows, on_kinds: torch.Tensor, counts: torch.Tensor, chosen: torch.Tensor, there: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """What all and what some members of each group are on."""
    numbers = rows.members.transpose(1, 2) @ on_kinds  # [batch, kinds, kinds below]
    numbers = numbers.gather(1, chosen[:, :, None].expand(-1, -1, NO_KIND))
    whole = _take(counts, chosen)[:, :, None]
    every, some = (numbers > 0.5) & (numbers > whole - 0.5), numbers > 0.5
    shown = (there > 0)[:, :, None]
    return _first(every & shown, NO_KIND), _first(some & shown, NO_KIND)


def _gist(
    rows: _Rows, kinds: torch.Tensor, sure: torch.Tensor, on: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The part and the rank of each group in the gist, and the kind before it there."""
    padded = torch.cat([rows.sure_kinds, torch.zeros_like(rows.sure_kinds[:, :1])], dim=1)
    carried = (sure > 0) & (_take(padded, on) > 0.5)
    slot = _first(carried, kinds.shape[1])
    under = _take(torch.cat([on, torch.full_like(on[:, :1], NO_KIND)], dim=1), slot[:, None])
    has = under < NO_KIND
    over, below = (on == under) & (sure > 0) & has, (kinds == under) & has
    rest = (sure > 0) & has & ~over & ~below
    part = 3 - 3 * over.long() - 2 * below.long() - rest.long()
    places = torch.arange(kinds.shape[1])
    order = part * 100 + places
    rank = (order[:, None, :] < order[:, :, None]).long().sum(-1)
    return part, rank, _before(order, kinds)


def _group_colours(rows: _Rows, chosen: torch.Tensor) -> torch.Tensor:
    """The colour that all members have, or that they differ."""
    colours = (rows.shown[:, :, None] == torch.arange(NO_COLOUR + 1)).float()
    shown = (rows.members.transpose(1, 2) @ colours > 0.5).float()
    shown = shown.gather(1, chosen[:, :, None].expand(-1, -1, NO_COLOUR + 1))
    only = shown.argmax(-1)
    return torch.where(shown.sum(-1) > 1.5, torch.full_like(only, MIXED), only)


def _group_columns(rows: _Rows, chosen: torch.Tensor) -> torch.Tensor:
    """A bit for each third of the picture that has a member."""
    columns = (rows.column[:, :, None] == torch.arange(3)).float()
    there = (rows.members.transpose(1, 2) @ columns > 0.5).long()
    there = there.gather(1, chosen[:, :, None].expand(-1, -1, 3))
    return (there * torch.tensor([1, 2, 4])).sum(-1)


def _scene(rows: _Rows) -> torch.Tensor:
    """The place that the sure kinds show."""
    weights = torch.zeros(NO_KIND, len(SCENES))
    for number, kind in enumerate(KINDS):
        if kind.scene:
            weights[number, kind.scene] = 2.0 if number in STRONG else 1.0
    told = rows.sure_kinds @ weights
    return torch.cat([torch.ones_like(told[:, :1]), told[:, 1:]], dim=1).argmax(-1)


def _alike(rows: _Rows) -> torch.Tensor:
    """Row number, from 1, of the last counted thing of the same kind before each, or 0."""
    places = torch.arange(rows.kind.shape[1])
    same = (rows.kind[:, None, :] == rows.kind[:, :, None]) & rows.counted[:, None, :]
    return ((same & (places[None, :] < places[:, None])).long() * (places + 1)).amax(-1)
