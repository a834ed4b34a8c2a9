"""The embedded model of everyday things says what is true of the list that its eye reports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import hailo_florence
from hailo_florence.protocol import FlorenceResult
from training.things.kinds import NUMBER_OF
from training.things.view import Thing
from training.voice.measure import Speaker, cases, clients, grouped, measure
from training.voice.samples import Sample

FOLDER = Path(hailo_florence.__file__).parent / "everyday_model"
LARGEST = 20_000_000


@pytest.fixture(scope="module")
def speaker() -> Iterator[Speaker]:
    made = Speaker(FOLDER)
    yield made
    made.close()


def thing(name: str, box: tuple[float, float, float, float], score: float = 0.8) -> Thing:
    return Thing(NUMBER_OF[name], score, box)


PORCH = [
    thing("person", (0.55, 0.2, 0.8, 0.95)),
    thing("dog", (0.1, 0.6, 0.3, 0.9)),
    thing("dog", (0.32, 0.55, 0.5, 0.9), 0.7),
    thing("horse", (0.8, 0.1, 0.95, 0.3), 0.36),
]


def ask(speaker: Speaker, kind: str, prompt: str, things: list[Thing] = PORCH) -> FlorenceResult:
    return speaker.ask(Sample(kind, things, prompt, ""))


def test_both_demo_models_fit_into_their_package() -> None:
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) <= LARGEST


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Is there a person at the door?", "yes"),
        ("How many dogs are there?", "2"),
        ("Is there a bicycle?", "no"),
        ("Is there a horse?", "probably"),
        ("Where is the person?", "on the right"),
    ],
)
def test_questions(speaker: Speaker, question: str, answer: str) -> None:
    assert ask(speaker, "vqa", f"<VQA>{question}").text == answer


def test_caption(speaker: Speaker) -> None:
    assert ask(speaker, "caption", "").text == "A person and two dogs."
    assert ask(speaker, "caption", "", []).text == "Nothing that I know is in this picture."


def test_detection(speaker: Speaker) -> None:
    found = ask(speaker, "od", "").places
    assert [place["label"] for place in found] == ["person", "dog", "dog", "horse"]
    for place, each in zip(found, PORCH, strict=True):
        assert place["box"] == pytest.approx(each.box, abs=0.01)


def test_nearly_everything_is_true_of_lists_made_otherwise(speaker: Speaker) -> None:
    """Figures of each kind: `docs/demo-model-everyday.md`."""
    tallies = grouped(measure(speaker, cases("foreign", 6, 7, held=False)))
    for kind, least in (("captions", 0.85), ("caption", 0.95), ("od", 0.8), ("answers", 0.93)):
        assert tallies[kind].right >= least * tallies[kind].cases, tallies[kind].misses


def test_most_answers_are_true_in_wordings_that_it_never_saw(speaker: Speaker) -> None:
    asked = (case for case in cases("foreign", 6, 7, held=True) if case.kind.startswith("vqa "))
    tally = grouped(measure(speaker, asked))["answers"]
    assert tally.right >= 0.88 * tally.cases, tally.misses


def test_long_prompts_end_and_repeat_no_word(speaker: Speaker) -> None:
    found = clients(speaker, 60, 3)
    assert found["cut"] == found["repeating"] == 0, found
