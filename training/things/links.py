"""What stands before the name of a group in a caption: nothing, a comma, `and`, `on` or `with`.

Only how many groups there are of each part says whether a name is the last of its list, and a network that
sees one name at a time does not know that. So it is counted here, in operations that ONNX has.
"""

from __future__ import annotations

import torch

from training.things.captions import DOUBTFUL, ON, SHORT, WITH
from training.things.facts import NO_KIND, Facts

LINKS = ("", ", ", " and ", " on ", ", with ", " and more", "unsaid")
FIRST, COMMA, AND, BELOW, REST, MORE, UNSAID = range(len(LINKS))
SIZE = 2 * len(LINKS)
"""Numbers of `links_of`: those of the gist, and as many for doubtful groups beside sure ones."""
_OVER, _UNDER, _WITH, _OTHER = range(4)


def _place(rank: torch.Tensor, mine: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The place of each group among those of `mine`, and how many these are: int64 [batch, groups]."""
    far = torch.where(mine, rank, torch.full_like(rank, 99))
    first = far.amin(-1, keepdim=True)
    return rank - first, mine.long().sum(-1, keepdim=True).expand_as(rank)


def _listed(place: torch.Tensor, number: torch.Tensor, most: int, first: int) -> torch.Tensor:
    """The link before each name of a list that says the first `most`; `first` is that of the first name."""
    last = (place == number - 1) & (number <= most)
    link = torch.where(last, torch.full_like(place, AND), torch.full_like(place, COMMA))
    link = torch.where(place == 0, torch.full_like(place, first), link)
    link = torch.where(place == most, torch.full_like(place, MORE), link)
    return torch.where(place > most, torch.full_like(place, UNSAID), link)


def links_of(facts: Facts) -> torch.Tensor:
    """A number of `LINKS` for each group, int64 [batch, groups].

    `len(LINKS)` is added for doubtful groups beside sure ones, which are a list of their own.
    """
    there, sure = facts.group < NO_KIND, (facts.sure > 0) & (facts.group < NO_KIND)
    some_sure = sure.any(-1, keepdim=True)
    under = ((facts.part < _OTHER) & sure).any(-1, keepdim=True)
    link = torch.full_like(facts.group, UNSAID)
    parts = (
        (sure & under & (facts.part == _OVER), ON, FIRST),
        (sure & under & (facts.part == _WITH), WITH, REST),
        (sure & ~under, SHORT, FIRST),
        (there & ~some_sure, DOUBTFUL, FIRST),
    )
    for mine, most, first in parts:
        place, number = _place(facts.gist_rank, mine)
        link = torch.where(mine, _listed(place, number, most, first), link)
    link = torch.where(sure & under & (facts.part == _UNDER), torch.full_like(link, BELOW), link)
    doubtful = there & some_sure & ~sure
    place, number = _place(facts.gist_rank, doubtful)
    return torch.where(doubtful, _listed(place, number, DOUBTFUL, FIRST) + len(LINKS), link)
