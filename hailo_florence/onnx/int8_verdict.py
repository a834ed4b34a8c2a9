"""How an 8-bit copy of a vision encoder compares with its original, and where that is written down."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

MAX_ERROR = 0.5
"""Relative error of the features above which a copy is not used; a wrong kernel is beyond 1."""
_WORTH = 0.9


@dataclass(frozen=True)
class Verdict:
    """How a copy compares with its original: relative error of the features, and CPU time of one image."""

    error: float
    seconds: float
    original_seconds: float

    @property
    def trusted(self) -> bool:
        """True when it is close enough to the original."""
        return self.error <= MAX_ERROR

    @property
    def faster(self) -> bool:
        """True when it saves enough to be worth it on this machine."""
        return self.seconds <= _WORTH * self.original_seconds


def verdict_path(copy: Path) -> Path:
    """Where the verdict on a copy lies. It is written last: without one there is no copy."""
    return copy.with_suffix(".json")


def read_verdict(copy: Path) -> Verdict | None:
    """The verdict, if the copy was made and judged."""
    try:
        return Verdict(**json.loads(verdict_path(copy).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
