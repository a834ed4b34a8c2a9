"""What a text in plain English says of a picture: kinds that it names, yes or no, a number."""

from __future__ import annotations

import re

from training.things.captions import NUMBERS
from training.things.kinds import KINDS

_NAMES = sorted(
    ((name, kind.name) for kind in KINDS for name in {kind.name, kind.plural}),
    key=lambda pair: -len(pair[0]),
)
_WORDS = {word: number for number, word in enumerate(NUMBERS)}
_NUMBER = re.compile(rf"\b(\d+|{'|'.join(sorted(_WORDS, key=len, reverse=True))}|none)\b", re.IGNORECASE)


def kinds_in(text: str) -> set[str]:
    """The kinds that it names; `hot dog` names no dog."""
    left, found = text.lower(), set()
    for name, kind in _NAMES:
        left, count = re.subn(rf"\b{re.escape(name)}\b", "#", left)
        if count:
            found.add(kind)
    return found


def is_yes(text: str) -> bool:
    """Whether it affirms, with doubt or without."""
    return re.match(r"\W*(yes|probably)\b", text, re.IGNORECASE) is not None


def number_in(text: str) -> int | None:
    """The first number, or None; `no` is 0, and `a dog` one."""
    found = _NUMBER.search(text)
    if found is None:
        said = re.search(r"\b(no|an?)\b", text, re.IGNORECASE)
        return None if said is None else int(said[1].lower() != "no")
    word = found[1].lower()
    return int(word) if word.isdigit() else _WORDS.get(word, 0)
