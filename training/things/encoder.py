"""The list of things as tokens of a language model: `things` [batch, 24, 8] to [batch, tokens, width].

What is countable is counted here, without weights: groups, neighbours, what is on what. The weights only say
how such facts look to the language model. Everything exports to ONNX (opset 17).
"""

from __future__ import annotations

import torch
from torch import nn

from training.things.facts import NO_KIND, Facts, facts_of
from training.things.kinds import SCENES, SUPERS
from training.things.orders import LINKS, NAMED_IN_A_COLUMN, SENTENCES, TAILS, Orders, orders_of
from training.things.view import EXTREMES, ROWS

GROUPS = 10
A_GROUP, A_THING = 7, 5
"""Tokens a group and tokens a thing: what it is, left, right, above, below, on, in which order; name and
four places."""
COLUMNS = 3 * NAMED_IN_A_COLUMN
GLOBALS = 2 + len(EXTREMES) + len(SUPERS) + COLUMNS + 2
TOKENS = A_GROUP * GROUPS + GLOBALS + A_THING * ROWS
PLACES = 1000


class ThingsEncoder(nn.Module):
    """See above. `places` are the embeddings of `<loc_N>`, which the language model may share."""

    def __init__(self, width: int, named: float = 1.0) -> None:
        """`named` is how much a name outweighs what else its token says: questions find things by it."""
        super().__init__()
        self.width, self.named = width, named
        self.places = nn.Embedding(PLACES, width)
        self.kinds = nn.Embedding(NO_KIND + 1, width)
        for name, size in _TABLES.items():
            setattr(self, name, nn.Embedding(size, width))
        for name in _ROLES:
            setattr(self, name, nn.Linear(width, width, bias=False))
        self.types = nn.Embedding(A_GROUP + GLOBALS + A_THING + 2, width)

    def forward(self, things: torch.Tensor) -> torch.Tensor:
        """Features float32 [batch, TOKENS, width]."""
        return self.tokens(things, self.places.weight, GROUPS)

    def tokens(self, things: torch.Tensor, places: torch.Tensor, groups: int) -> torch.Tensor:
        """The same with `places` [1000, width] in place of the own ones.

        Lists of fewer rows, or fewer `groups`, give only the tokens that `kept_tokens` names.
        """
        facts = facts_of(things, groups)
        orders = orders_of(facts)
        kinds = [self._group_tokens(facts, orders), self._global_tokens(facts, orders)]
        return torch.cat([*kinds, self._thing_tokens(facts, places)], 1)

    def _type(self, number: int) -> torch.Tensor:
        return self.types.weight[number]

    def _group_tokens(self, facts: Facts, orders: Orders) -> torch.Tensor:
        named = self.kinds(facts.group)
        key = self.key(named)
        what = (
            self.named * named
            + self.count(facts.count)
            + self.sure(facts.sure)
            + self.colour(facts.colour)
            + self.columns(facts.columns)
            + self.place(facts.place)
            + self.near(facts.near)
            + self.part(facts.part)
            + self.rank(facts.gist_rank)
            + self.before(self.kinds(facts.before))
            + self.gist_before(self.kinds(facts.gist_before))
            + self.super_before(self.kinds(facts.super_before))
        )
        sides = [
            key + self.first(self.kinds(facts.sides[:, :, side])) + self._type(1 + side) for side in range(4)
        ]
        on = key + self.first(self.kinds(facts.on)) + self.second(self.kinds(facts.some_on)) + self._type(5)
        tokens = torch.stack([what + self._type(0), *sides, on, self._order(facts, orders)], dim=2)
        filled = (facts.group < NO_KIND).to(tokens.dtype)[:, :, None, None]
        empty = self._type(A_GROUP + GLOBALS + A_THING)
        return (tokens * filled + empty * (1 - filled)).flatten(1, 2)

    def _order(self, facts: Facts, orders: Orders) -> torch.Tensor:
        """When a group is named, and what stands after its name."""
        return (
            self.key(self.kinds(facts.group))
            + self.tail(orders.tails)
            + self.sentence(orders.sentences)
            + self.part(facts.part)
            + self.rank(facts.gist_rank)
            + self.gist_before(self.kinds(facts.gist_before))
            + self._type(6)
        )

    def _global_tokens(self, facts: Facts, orders: Orders) -> torch.Tensor:
        total = (self.count(facts.total) + self._type(A_GROUP))[:, None]
        scene = (self.scene(facts.scene) + self.inside(facts.inside) + self._type(A_GROUP + 1))[:, None]
        first = A_GROUP + 2
        own = self.types.weight[first : first + len(EXTREMES)]
        extremes = self.kinds(facts.extremes) + self.sure(facts.extremes_sure) + own
        first += len(EXTREMES)
        own = self.types.weight[first : first + len(SUPERS)]
        supers = self.count(facts.supers) + self.sure(facts.supers_sure) + own
        first += len(SUPERS)
        columns = (
            self.kinds(orders.columns)
            + self.side_before(self.kinds(orders.columns_before))
            + self.link(orders.links)
        ).flatten(1, 2) + self.types.weight[first : first + COLUMNS]
        own = self.types.weight[first + COLUMNS : first + COLUMNS + 2]
        beside = self.kinds(orders.beside) + own
        return torch.cat([total, scene, extremes, supers, columns, beside], dim=1)

    def _thing_tokens(self, facts: Facts, places: torch.Tensor) -> torch.Tensor:
        """Each place also knows the two before it, so that one leads to the next."""
        kind = self.kinds(facts.kind)
        key = self.key(kind)
        ends = nn.functional.embedding(facts.steps, places)  # [batch, rows, 4, width]
        last = torch.cat([torch.zeros_like(ends[:, :1, 3]), ends[:, :-1, 3]], dim=1)
        alike = torch.cat([torch.zeros_like(ends[:, :1, 3]), ends[:, :, 3]], dim=1)
        alike = alike.gather(1, facts.alike[:, :, None].expand(-1, -1, self.width))
        attributes = (
            self.colour(facts.shown)
            + self.sure(facts.thing_sure)
            + self.counted(facts.counted)
            + self.main(facts.main)
            + self.row(facts.row)
        )
        first = A_GROUP + GLOBALS
        name = (
            self.named * kind
            + attributes
            + self.place(facts.thing_place)
            + self.after(last)
            + self._type(first)
        )
        before = self.before(self.kinds(facts.row_before))
        tokens = [name + before + self.second(self.kinds(facts.thing_on))]
        start = key + attributes + self.after(last) + self.alike(alike)
        chain = [start, *(key + self.row(facts.row) for _ in range(3))]
        for end in range(4):
            token = self.value(ends[:, :, end]) + chain[end] + self._type(first + 1 + end)
            if end:
                token = token + self.after(ends[:, :, end - 1])
            if end > 1:
                token = token + self.further(ends[:, :, end - 2])
            tokens.append(token)
        made = torch.stack(tokens, dim=2)
        filled = (facts.kind < NO_KIND).to(made.dtype)[:, :, None, None]
        empty = self._type(first + A_THING + 1)
        return (made * filled + empty * (1 - filled)).flatten(1, 2)


_TABLES = {
    **{"count": ROWS + 1, "sure": 3, "colour": 14, "columns": 8, "place": 10, "near": 3, "part": 4},
    **{"rank": GROUPS, "scene": len(SCENES), "inside": 3, "counted": 2, "main": 2, "row": ROWS},
    **{"link": LINKS, "tail": TAILS, "sentence": SENTENCES},
}
_ROLES = (
    *(
        "key",
        "first",
        "second",
        "before",
        "gist_before",
        "super_before",
        "side_before",
        "after",
        "further",
        "alike",
        "value",
    ),
)


def kept_tokens(groups: int, things: int) -> list[int]:
    """Indices of the tokens of so many groups and things; the others are empty when there are no more."""
    whole = A_GROUP * GROUPS
    return [
        *range(A_GROUP * groups),
        *range(whole, whole + GLOBALS),
        *range(whole + GLOBALS, whole + GLOBALS + A_THING * things),
    ]
