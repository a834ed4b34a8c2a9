"""What is said of invented lists follows from them, and the tensor's facts are those of the lists."""

from __future__ import annotations

import random
import re
from itertools import pairwise

import pytest

from training.things import captions, questions
from training.things.kinds import COLOURS, KINDS, NUMBER_OF
from training.things.lists import sample
from training.things.places import PROMPTS, overlap, task
from training.things.view import EXTREMES, ROWS, SIDES, Thing, View, tensor_rows


@pytest.fixture(scope="module")
def views() -> list[View]:
    rng = random.Random(21)
    return [View(sample(rng)) for _ in range(600)]


def thing(name: str, box: tuple[float, float, float, float], score: float = 0.8, colour: int = -1) -> Thing:
    return Thing(NUMBER_OF[name], score, box, colour, 0.6 if colour >= 0 else 0.0)


BENCH = View(
    [
        thing("dog", (0.1, 0.4, 0.3, 0.7)),
        thing("dog", (0.35, 0.4, 0.5, 0.7)),
        thing("person", (0.55, 0.2, 0.8, 0.75)),
        thing("bench", (0.05, 0.55, 0.95, 0.9), colour=COLOURS.index("brown")),
        thing("horse", (0.8, 0.1, 0.95, 0.3), score=0.33),
    ]
)


def test_kinds_are_those_of_the_eye() -> None:
    assert len(KINDS) == 80 == len(NUMBER_OF)
    assert [KINDS[index].name for index in (0, 16, 39, 79)] == ["person", "dog", "bottle", "toothbrush"]


def test_caption_of_things_on_a_bench() -> None:
    assert captions.short(BENCH) == "A person and two dogs on a bench."
    assert "Probably also a horse." in captions.detailed(BENCH)
    assert "The brown bench is at the bottom, close to the camera." in captions.more_detailed(BENCH)


def test_nothing_is_on_what_it_does_not_touch() -> None:
    apart = View([thing("dog", (0.1, 0.1, 0.3, 0.2)), thing("bench", (0.05, 0.6, 0.95, 0.9))])
    assert captions.short(apart) in ("A dog and a bench.", "A bench and a dog.")


def test_doubt_is_in_words() -> None:
    horse = View([thing("horse", (0.1, 0.1, 0.6, 0.9), score=0.35)])
    assert captions.short(horse) == "Probably a horse."
    rng = random.Random(1)
    answers = {questions.question(horse, "largest", rng).answer for _ in range(5)}
    assert answers == {"probably a horse"}


def test_empty_list() -> None:
    assert captions.short(View([])) == captions.detailed(View([])) == captions.NOTHING


@pytest.mark.parametrize("kind", questions.MAKERS)
def test_questions_have_short_answers(views: list[View], kind: str) -> None:
    rng = random.Random(4)
    for view in views:
        asked = questions.question(view, kind, rng)
        words = asked.answer.split()
        assert words
        assert asked.text
        assert "{" not in asked.text
        assert not any(
            one == two == three for one, two, three in zip(words, words[1:], words[2:], strict=False)
        )


def test_yes_and_no_are_both_heard(views: list[View]) -> None:
    rng = random.Random(6)
    for kind in ("exists", "more", "colour check", "is on", "side check", "near"):
        asked = [view for view in views if kind != "is on" or any(group.on >= 0 for group in view.groups)]
        said = [questions.question(view, kind, rng).answer for view in asked]
        assert 0.12 < said.count("yes") / len(said) < 0.75, kind


def test_rows_are_sorted_and_few(views: list[View]) -> None:
    for view in views:
        assert len(view.things) <= ROWS
        assert all(one.score >= two.score for one, two in pairwise(view.things))
        for each in view.things:
            x0, y0, x1, y1 = each.box
            assert 0 <= x0 < x1 <= 1.01
            assert 0 <= y0 < y1 <= 1.01


@pytest.mark.parametrize("kind", PROMPTS)
def test_places_are_read_back(views: list[View], kind: str) -> None:
    from hailo_florence.model.places import find_places  # noqa: PLC0415

    rng = random.Random(8)
    for view in views[:200]:
        prompt, answer = task(view, kind, rng)
        assert prompt
        if kind == "od":
            found = find_places(answer, "boxes", None)
            assert [place["label"] for place in found] == [KINDS[each.kind].name for each in view.things]
            for place, each in zip(found, view.things, strict=True):
                if each.area > 0.01:
                    assert overlap(tuple(place["box"]), each.box) > 0.9


@pytest.mark.oracle
def test_tensor_facts_are_those_of_the_view(views: list[View]) -> None:
    torch = pytest.importorskip("torch")
    from training.things.facts import NO_KIND, facts_of  # noqa: PLC0415

    facts = facts_of(torch.tensor([tensor_rows(view.things) for view in views]), 10)

    def numbered(kind: int) -> int:
        return NO_KIND if kind < 0 else kind

    for index, view in enumerate(views):
        groups = view.groups[:10]
        told = {
            "group": [group.kind for group in groups],
            "count": [group.count for group in groups],
            "sure": [int(group.sure) for group in groups],
            "colour": [group.colour for group in groups],
            "columns": [group.columns for group in groups],
            "place": [group.main.place for group in groups],
            "near": [group.main.nearness for group in groups],
            "on": [numbered(group.on) for group in groups],
            "some_on": [numbered(group.some_on) for group in groups],
            "sides": [[numbered(view.neighbour(group.main, side)) for side in SIDES] for group in groups],
        }
        for name, value in told.items():
            assert getattr(facts, name)[index, : len(groups)].tolist() == value, name
        found = [view.extreme(which) for which in EXTREMES]
        assert facts.extremes[index].tolist() == [NO_KIND if each is None else each.kind for each in found]
        assert facts.scene[index].item() == view.scene
        assert facts.inside[index].item() - 1 == view.inside
        assert facts.total[index].item() == len(view.counted)


@pytest.mark.oracle
def test_links_put_the_gist_together(views: list[View]) -> None:
    """Names in the order of ranks, each behind its link, are the phrase that captions say."""
    torch = pytest.importorskip("torch")
    from training.things.captions import DOUBTFUL, gist, listed, noun  # noqa: PLC0415
    from training.things.facts import facts_of  # noqa: PLC0415
    from training.things.links import LINKS, MORE, links_of  # noqa: PLC0415

    facts = facts_of(torch.tensor([tensor_rows(view.things) for view in views]), 10)
    numbers, ranks = links_of(facts).tolist(), facts.gist_rank.tolist()

    def said(link: int, name: str) -> str:
        return {"unsaid": "", LINKS[MORE]: LINKS[MORE]}.get(LINKS[link], LINKS[link] + name)

    for view, links, rank in zip(views, numbers, ranks, strict=True):
        order = sorted(range(min(10, len(view.groups))), key=rank.__getitem__)
        texts = ["", ""]
        for place in order:
            about, link = divmod(links[place], len(LINKS))
            texts[about] += said(link, noun(view.groups[place]))
        doubtful = [group for group in view.groups if not group.sure] if view.groups[:1] else []
        beside = listed(doubtful, DOUBTFUL) if doubtful and view.groups[0].sure else ""
        assert texts == [gist(view), beside]


def test_overlap_of_boxes() -> None:
    assert overlap((0, 0, 1, 1), (0, 0, 1, 1)) == 1
    assert overlap((0, 0, 0.5, 1), (0.25, 0, 0.75, 1)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 0.5, 1), (0.6, 0, 1, 1)) == 0


@pytest.mark.oracle
def test_tensor_orders_are_those_of_the_captions(views: list[View]) -> None:
    torch = pytest.importorskip("torch")
    from training.things.facts import NO_KIND, facts_of  # noqa: PLC0415
    from training.things.orders import orders_of  # noqa: PLC0415

    orders = orders_of(facts_of(torch.tensor([tensor_rows(view.things) for view in views]), 10))
    for index, view in enumerate(views):
        for column in range(3):
            found = [group.kind for group in view.groups[:10] if group.columns >> column & 1][:3]
            kinds = found + [NO_KIND] * (3 - len(found))
            assert orders.columns[index, column].tolist() == kinds
            assert orders.columns_before[index, column].tolist() == [NO_KIND, *kinds[:2]]
            links = {0: [], 1: [2], 2: [1, 4], 3: [1, 3, 4]}[len(found)]
            assert orders.links[index, column].tolist() == links + [0] * (3 - len(found))
        text = captions.detailed(view)
        for place, group in enumerate(view.groups[:10]):
            told = re.search(rf"\b{captions.noun(group)}(, (?!with)| and )?(more)?", text)
            tail = orders.tails[index, place].item()
            wanted = {None: 4, ", ": 1, " and ": 3 if told and told[2] else 2}
            assert tail == wanted[told[1]] if told else tail == 0, (text, group)
        count = sum(group.sure for group in view.groups[:10])
        numbers = [1 + 2 * min(place, 4) + (place + 1 < count) for place in range(count)]
        assert orders.sentences[index].tolist() == numbers + [0] * (10 - count)
        main = view.groups[0] if view.groups else None
        told_beside = main is not None and main.sure and main.count == 1
        for side, name in enumerate(("left", "right")):
            kind = view.neighbour(main.main, name) if main is not None and told_beside else -1
            assert orders.beside[index, side].item() == (NO_KIND if kind < 0 else kind)
            assert (f"To the {name} of" in captions.more_detailed(view)) == (kind >= 0)
