"""In what order things are named, and what joins them: for tensors, from their `Facts`.

A list of any length is then said by looking up, after each name, what follows it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from training.things.facts import NO_KIND, Facts
from training.things.links import listed_of

NAMED_IN_A_COLUMN = 3
LINKS, TAILS, SENTENCES = 6, 5, 11
_IN_COLUMN = [[bits >> column & 1 for column in range(3)] for bits in range(8)]
_LATEST = 4


@dataclass(frozen=True)
class Orders:
    """Whole numbers [batch, ...]; kinds are 0 to 79, `NO_KIND` for none.

    Of each third of the picture [batch, 3, 3]: the first three kinds there, the kind before each, and what
    stands before it (0 no such thing, 1 nothing, 2 nothing and it is the only one, 3 a comma, 4 `and`).
    Of groups [batch, groups]: what follows its name in the gist or among the doubtful things (0 it is not
    named, 1 a comma, 2 `and`, 3 `and more`, 4 nothing), and the number of the sentence about its place
    (0 none, then 1 + 2 x number + whether another one follows). `beside` [batch, 2] is what is to the left
    and right of the main thing where a caption says so.
    """

    columns: torch.Tensor
    columns_before: torch.Tensor
    links: torch.Tensor
    tails: torch.Tensor
    sentences: torch.Tensor
    beside: torch.Tensor


def orders_of(facts: Facts) -> Orders:
    """The orders of lists of which the facts are known."""
    columns, links = _columns(facts)
    nothing = torch.full_like(columns[:, :, :1], NO_KIND)
    only = (facts.count[:, :1] == 1) & (facts.sure[:, :1] > 0)
    sides = facts.sides[:, 0, :2]
    return Orders(
        columns=columns,
        columns_before=torch.cat([nothing, columns[:, :, :-1]], dim=2),
        links=links,
        tails=_tails(facts),
        sentences=_sentences(facts),
        beside=torch.where(only, sides, torch.full_like(sides, NO_KIND)),
    )


def _columns(facts: Facts) -> tuple[torch.Tensor, torch.Tensor]:
    """The first kinds of each third, and what stands before them."""
    has = torch.tensor(_IN_COLUMN)[facts.columns].transpose(1, 2)  # [batch, 3, groups]
    rank = has.cumsum(-1)
    numbers = torch.arange(1, NAMED_IN_A_COLUMN + 1)
    chosen = has[:, :, None] * (rank[:, :, None] == numbers[None, None, :, None]).long()
    filled = chosen.sum(-1)  # [batch, 3, 3]
    kinds = (chosen * facts.group[:, None, None, :]).sum(-1) + (1 - filled) * NO_KIND
    named = filled.sum(-1, keepdim=True)
    last, first = (numbers == named).long(), (numbers == 1).long()
    return kinds, filled * (first * (1 + last) + (1 - first) * (3 + last))


def _tails(facts: Facts) -> torch.Tensor:
    """What follows each name."""
    listed = listed_of(facts)
    named = ((listed.place < listed.most) & listed.there).long()
    more = (listed.number > listed.most).long()
    left = torch.minimum(listed.number, listed.most) - 1 - listed.place
    joined = 1 + (left == 1).long() * (1 - more)
    return named * torch.where(left > 0, joined, 4 - more)


def _sentences(facts: Facts) -> torch.Tensor:
    """The number of each sentence about a place."""
    places = torch.arange(facts.sure.shape[1]).expand_as(facts.sure)
    follows = (places + 1 < facts.sure.sum(1, keepdim=True)).long()
    return facts.sure * (1 + 2 * torch.clamp(places, max=_LATEST) + follows)
