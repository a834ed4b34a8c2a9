"""How an 8-bit copy of a vision encoder compares with its original, and where that is written down."""

from __future__ import annotations

import hashlib
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
    sha256: str = ""
    """Of the copy, which is checked before each load."""

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


def is_whole(copy: Path, verdict: Verdict) -> bool:
    """True when the copy is what was judged; one that was not trusted is not there."""
    if not verdict.trusted:
        return True
    try:
        with copy.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == verdict.sha256
    except OSError:
        return False
