"""Questions are put in many ways, none of them the ones kept for measuring."""

from __future__ import annotations

import random
import re

import pytest

from training.everyday.turns import turn
from training.things import questions
from training.things.kinds import NUMBER_OF
from training.things.lists import sample
from training.things.phrasing import ASKED, ENDINGS, HELD, PLACES_OUTSIDE
from training.things.view import Thing, View
from training.things.wordings import ALL_PATTERNS, PATTERNS, composed, wording

YARD = View([Thing(NUMBER_OF["dog"], 0.8, (0.1, 0.4, 0.3, 0.8), 3, 0.6)])


@pytest.mark.parametrize("kind", ALL_PATTERNS)
def test_patterns_leave_nothing_but_fields_of_the_kind(kind: str) -> None:
    rng = random.Random(1)
    known = {name for text in ASKED[kind] for name in re.findall(r"\{(\w+)\}", text)}
    known |= {"one", "many", "a"} if known else set()
    for _ in range(1500):
        text = composed(kind, rng)
        assert not set(text) & set("()<>|"), text
        names = set(re.findall(r"\{(\w+)\}", text))
        assert names <= known, text
        assert bool(names) == bool(known), text


@pytest.mark.parametrize("kind", ALL_PATTERNS)
def test_there_are_many_ways_to_ask(kind: str) -> None:
    rng = random.Random(2)
    assert len({wording(kind, rng, more=True) for _ in range(2000)}) > 50


@pytest.mark.parametrize("kind", HELD)
def test_training_never_asks_in_words_kept_for_measuring(kind: str) -> None:
    rng = random.Random(3)
    nouns = {"one": "dog", "many": "dogs", "a": "a dog"}
    kept = {text.format_map(_Filled(nouns)) for text in HELD[kind]}
    for _ in range(4000):
        text = wording(kind, rng, more=True).format_map(_Filled(nouns))
        typed = questions.typed(text, kind, rng).rstrip("?.").lower()
        assert text not in kept
        assert typed not in kept


def test_more_wordings_are_for_who_asks_for_them() -> None:
    rng = random.Random(6)
    kind = next(iter(set(ALL_PATTERNS) - set(PATTERNS)))
    assert {wording(kind, rng) for _ in range(500)} <= set(ASKED[kind])
    assert not {wording(kind, rng, more=True) for _ in range(500)} <= set(ASKED[kind])


class _Filled(dict[str, str]):
    """Fields that are not about the thing stay as they are."""

    def __missing__(self, key: str) -> str:
        return f"{{{key}}}"


def test_a_place_tells_nothing_of_whether_the_thing_is_known() -> None:
    rng = random.Random(4)
    for kind in ("exists", "unknown"):
        asked = [turn(View(sample(rng)), kind, rng).question for _ in range(2000)]
        with_place = [text for text in asked if any(place in text for place in PLACES_OUTSIDE)]
        assert 0.1 < len(with_place) / len(asked) < 0.3, kind


def test_a_known_thing_beside_an_unknown_one_is_what_is_asked_for() -> None:
    rng = random.Random(5)
    asked = [turn(YARD, "exists", rng) for _ in range(3000)]
    beside = [
        each for each in asked if re.search(r"(?<!hot )\bdogs? (near|by|behind|under) the ", each.question)
    ]
    assert len(beside) > 10
    assert {each.answer for each in beside} <= {"Yes, a dog.", "Yes."}


def test_endings_end_no_question_twice() -> None:
    assert len(set(ENDINGS)) == len(ENDINGS)
