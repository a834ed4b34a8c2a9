"""How right it is what is said of labelled photographs, by the eye itself or by a service behind it."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from training.eye.photographs import Photograph
from training.things.kinds import NUMBER_OF

MOST = 4
"""Largest count that is asked for."""


@dataclass
class Score:
    """So many right of so many."""

    right: int = 0
    asked: int = 0

    def add(self, right: bool) -> None:
        """Count one answer."""
        self.right += right
        self.asked += 1

    def __str__(self) -> str:
        share = 100 * self.right / self.asked if self.asked else 0.0
        return f"{share:.1f} % ({self.right} of {self.asked})"


@dataclass
class Scores:
    """`main`: the main thing is named; `true`: nothing is named that is not there; `others` the same of
    pictures of none of the 80 kinds; `there`: questions for one kind; `counts`: for a number up to four."""

    main: Score = field(default_factory=Score)
    true: Score = field(default_factory=Score)
    others: Score = field(default_factory=Score)
    there: Score = field(default_factory=Score)
    counts: Score = field(default_factory=Score)

    def named(self, photograph: Photograph, kinds: Iterable[str]) -> None:
        """Judge the kinds that were named of a photograph."""
        named = set(kinds)
        if photograph.main:
            self.main.add(bool(named & set(photograph.main)))
        (self.true if photograph.main else self.others).add(not invented(photograph, named))

    def answered(self, photograph: Photograph, answers: Mapping[str, bool]) -> None:
        """Judge answers to whether a kind is there."""
        for kind, answer in answers.items():
            self.there.add(answer == (kind in photograph.things))

    def counted(self, photograph: Photograph, answers: Mapping[str, int | None]) -> None:
        """Judge answers to how many there are."""
        for kind, answer in answers.items():
            self.counts.add(answer == photograph.things[kind])


def invented(photograph: Photograph, named: Iterable[str]) -> set[str]:
    """What was named and is not there."""
    return set(named) - {*photograph.main, *photograph.things, *photograph.maybe}


def kinds_to_ask(photograph: Photograph) -> list[str]:
    """Every kind that is there, and as many that are not, at least one; the same ones each time."""
    there = list(photograph.things)
    absent = [kind for kind in NUMBER_OF if kind not in {*there, *photograph.main, *photograph.maybe}]
    chosen = random.Random(photograph.sha256)
    return there + chosen.sample(absent, max(1, len(there)))


def kinds_to_count(photograph: Photograph) -> list[str]:
    """The kinds of which there are one to four."""
    return [kind for kind, count in photograph.things.items() if 1 <= count <= MOST]
