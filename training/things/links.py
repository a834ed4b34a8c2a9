"""What stands before the name of a group in a caption: nothing, a comma, `and`, `on` or `with`.

Only how many groups there are of each part says whether a name is the last of its list, and a network that
sees one name at a time does not know that. So it is counted here, in operations that ONNX has.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from training.things.captions import DOUBTFUL, ON, SHORT, WITH
from training.things.facts import NO_KIND, Facts

LINKS = ("", ", ", " and ", " on ", ", with ", " and more", "unsaid")
FIRST, COMMA, AND, BELOW, REST, MORE, UNSAID = range(len(LINKS))
SIZE = 2 * len(LINKS)
"""Numbers of `links_of`: those of the gist, and as many for doubtful groups beside sure ones."""
_DOUBTED = 4
"""The part of doubtful groups where there are sure ones: after `Facts.part`'s four."""
_MOST = (ON, 1, WITH, SHORT, DOUBTFUL)
_FIRSTS = (FIRST, BELOW, REST, FIRST, FIRST)


@dataclass(frozen=True)
class Listed:
    """Of each group [batch, groups]: whether it is there, the part of a caption that lists it, its place and
    the number of groups in that list, and how many of them are named.
    """

    there: torch.Tensor
    part: torch.Tensor
    place: torch.Tensor
    number: torch.Tensor
    most: torch.Tensor


def listed_of(facts: Facts) -> Listed:
    """Where captions list each group."""
    there = facts.group < NO_KIND
    some = facts.sure.amax(1, keepdim=True) > 0
    doubted = some & (facts.sure == 0)
    part = torch.where(doubted, torch.full_like(facts.part, _DOUBTED), facts.part)
    most = torch.where(some, torch.tensor(_MOST)[part], torch.full_like(part, DOUBTFUL))
    places = torch.arange(part.shape[1])
    same = (part[:, :, None] == part[:, None, :]).long() * there.long()[:, None, :]
    earlier = (places[None, :] < places[:, None]).long()
    return Listed(there, part, (same * earlier).sum(-1), same.sum(-1), most)


def links_of(facts: Facts) -> torch.Tensor:
    """A number of `LINKS` for each group, int64 [batch, groups].

    `len(LINKS)` is added for doubtful groups beside sure ones, which are a list of their own.
    """
    listed = listed_of(facts)
    place, number, most = listed.place, listed.number, listed.most
    last = (place == number - 1) & (number <= most)
    link = torch.where(last, torch.full_like(place, AND), torch.full_like(place, COMMA))
    link = torch.where(place == 0, torch.tensor(_FIRSTS)[listed.part], link)
    link = torch.where(place == most, torch.full_like(place, MORE), link)
    unsaid = (place > most) | ~listed.there
    link = torch.where(unsaid, torch.full_like(place, UNSAID), link)
    return link + len(LINKS) * (listed.there & (listed.part == _DOUBTED)).long()
