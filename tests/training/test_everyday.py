"""What the model of everyday things is taught to say follows from the lists, is short, and ends."""

from __future__ import annotations

import json
import random
import re

import pytest

from training.chat.chat_language import which
from training.everyday import pairs, structured, words
from training.everyday.talks import Talk, talk
from training.everyday.turns import KINDS_OF_QUESTION, Turn, follow_up, presence, turn
from training.things.kinds import KINDS, NUMBER_OF
from training.things.lists import sample
from training.things.view import Thing, View

DOG, PERSON, CAR = (NUMBER_OF[name] for name in ("dog", "person", "car"))


def thing(name: str, x: float, score: float = 0.8) -> Thing:
    return Thing(NUMBER_OF[name], score, (x, 0.4, x + 0.2, 0.8), 3, 0.6)


YARD = View([thing("dog", 0.1), thing("dog", 0.3), thing("person", 0.7)])
STREET = View([thing("car", 0.4), thing("person", 0.7)])
EMPTY = View([])
KEY = re.compile(r'(\{"|, ")[^"]+')


@pytest.fixture(scope="module")
def talks() -> list[Talk]:
    rng = random.Random(5)
    return [talk(rng) for _ in range(1500)]


def test_answers_are_short_and_repeat_no_word_three_times(talks: list[Talk]) -> None:
    for each in talks:
        for asked in each.turns:
            said = asked.answer.split()
            assert said, asked
            assert len(said) <= 200, asked
            assert not any(a == b == c for a, b, c in zip(said, said[1:], said[2:], strict=False)), asked


def test_json_is_valid_and_a_grammar_writes_no_value(talks: list[Talk]) -> None:
    found = [asked for each in talks for asked in each.turns if "json" in asked.kind or "task" in asked.kind]
    assert len(found) > 400
    for asked in found:
        assert isinstance(json.loads(asked.answer), dict), asked
        for begin, end in asked.given:
            assert KEY.fullmatch(asked.answer[begin:end]), asked
            assert asked.answer[end : end + 3] == '": ', asked
    assert sum(bool(asked.given) for asked in found) > 150


def test_keys_are_given_and_what_follows_them_is_learnt() -> None:
    fields = [structured.Field("title", "A dog", ""), structured.Field("count", 2, "")]
    text, spans = structured.object_of(fields)
    assert text == '{"title": "A dog", "count": 2}'
    assert [text[begin:end] for begin, end in spans] == ['{"title', ', "count']


def test_boxes_are_four_numbers_that_end() -> None:
    assert structured.box_of(YARD.groups[1].main) == [0, 333, 333, 667]
    assert structured.box_of(Thing(DOG, 0.8, (0.0, 0.1, 1.0, 0.9))) == [0, 0, 1000, 1000]
    rng = random.Random(4)
    answers = [structured.json_turn(View(sample(rng)), rng).answer for _ in range(2000)]
    found = [rows for answer in answers for rows in json.loads(answer).values() if isinstance(rows, list)]
    boxes = [part for rows in found for row in rows if isinstance(row, dict) for part in row.values()]
    boxes = [box for box in boxes if isinstance(box, list)]
    assert len(boxes) > 100
    assert all(len(box) == 4 and box[0] < box[2] and box[1] < box[3] for box in boxes)


def test_presence_counts_and_doubts() -> None:
    assert presence(YARD, DOG) == "Yes, two dogs."
    assert presence(STREET, DOG) == "No, I see no dog."
    assert presence(View([thing("dog", 0.1, 0.35)]), DOG) == "Probably a dog."


@pytest.mark.parametrize("held", [False, True])
def test_every_kind_of_question_has_an_answer(held: bool) -> None:
    rng = random.Random(3)
    for _ in range(40):
        view = View(sample(rng))
        for kind in KINDS_OF_QUESTION:
            made = turn(view, kind, rng, held=held)
            assert made.kind == kind
            assert made.question
            assert made.answer
            assert follow_up(view, made, rng, held=held).answer


def test_a_number_is_bare_where_one_is_asked_for() -> None:
    rng = random.Random(1)
    made = [turn(YARD, "count all", rng) for _ in range(5)]
    assert {each.answer for each in made} == {"3"}


def test_two_pictures_are_compared() -> None:
    both = (YARD, STREET)
    assert (
        pairs.each(both)
        == "The first image shows a person and two dogs. The second image shows a person and a car."
    )
    assert pairs.each((*both, EMPTY)).endswith("The last image shows nothing that I know.")
    assert pairs.each((YARD,)) == "A person and two dogs."
    answers = {which(*shows) for shows in ((True, True), (True, False), (False, True), (False, False))}
    assert answers == {"Both images.", "The first image.", "The second image.", "Neither image."}
    for kind in pairs.MAKERS:
        assert pairs.pair_turn(both, random.Random(2), kind).kind == kind


@pytest.mark.parametrize(
    ("text", "title", "tags"),
    [
        ("Two dogs and a person on a bench.", "Dog and person", ["Dog", "Person", "Bench"]),
        ("A hot dog and three mice.", "Hot dog and mouse", ["Hot dog", "Mouse"]),
        ("The picture shows a car. The orange car is on the left.", "Car", ["Car"]),
        ("I am a small embedded model.", "A picture", ["General"]),
    ],
)
def test_titles_and_tags_of_a_text_name_what_it_names(text: str, title: str, tags: list[str]) -> None:
    assert (words.heading(text), words.tags(text)) == (title, tags)


def test_it_says_which_kinds_it_knows() -> None:
    assert all(kind.plural in words.KNOWN for kind in KINDS)


def test_a_pair_is_often_one_place_at_two_times() -> None:
    rng = random.Random(8)
    shared = 0
    for _ in range(200):
        one, other = pairs.pair_of(sample, rng)
        shared += bool({group.kind for group in one.groups} & {group.kind for group in other.groups})
    assert 90 < shared < 190


def test_pictures_stand_where_the_layout_says() -> None:
    asked = (Turn("short", "What?", "A dog."),)
    before, after, labelled = (
        Talk((YARD, STREET), asked, layout=name).first_content() for name in ("before", "after", "labelled")
    )
    assert [part["type"] for part in before] == ["image", "image", "text"]
    assert [part["type"] for part in after] == ["text", "image", "image"]
    assert [part.get("text", "") for part in labelled] == ["Image 1:", "", "Image 2:", "", "What?"]
