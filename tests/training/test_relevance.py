"""What an answer is taken from is where the encoder of lists says it."""

from __future__ import annotations

import random

import pytest

from training.things.kinds import NUMBER_OF
from training.things.lists import sample, scattered
from training.things.view import Thing, View
from training.voice.samples import SHARES, Sample, sample_of

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle


def thing(name: str, box: tuple[float, float, float, float]) -> Thing:
    return Thing(NUMBER_OF[name], 0.8, box, 3, 0.6)


YARD = [
    thing("person", (0.7, 0.2, 0.95, 0.9)),
    thing("dog", (0.1, 0.6, 0.3, 0.9)),
    thing("dog", (0.35, 0.6, 0.5, 0.9)),
]
PLACES = "<loc_110><loc_600><loc_300><loc_890>"


@pytest.mark.parametrize(
    ("kind", "prompt", "named", "tokens"),
    [
        ("vqa exists", "is there a dog", "dog", [7]),
        ("vqa exists", "is there a cat", "cat", []),
        ("vqa anyone", "is anybody there", None, [0]),
        ("vqa left", "what is left of the person", "person", [1]),
        ("vqa below", "what is under the dog", "dog", [7 + 4]),
        ("vqa count all", "how many things are there", None, [70]),
        ("vqa scene", "what place is this", None, [71]),
        ("vqa rightmost", "what is furthest right", None, [75]),
        ("vqa on side", "<VQA>What is on the left?", None, [86]),
        ("vqa short", "what is this", None, None),
        ("caption", "What does the image describe?", None, None),
        ("region category", f"What is the region {PLACES}?", None, [97 + 5 + place for place in range(5)]),
    ],
)
def test_tokens_of_samples(kind: str, prompt: str, named: str | None, tokens: list[int] | None) -> None:
    from training.voice.relevance import relevant  # noqa: PLC0415

    asked = Sample(kind, YARD, prompt, "", NUMBER_OF[named] if named else -1)
    assert relevant(asked) == tokens


def test_grounded_phrases_are_of_things_whose_boxes_are_said() -> None:
    from training.voice.relevance import relevant  # noqa: PLC0415

    said = "a dog<loc_100><loc_600><loc_300><loc_900>"
    assert relevant(Sample("grounding", YARD, "", said)) == [97 + 5 + place for place in range(5)]


def test_every_kind_means_tokens_that_there_are() -> None:
    from training.things.encoder import TOKENS  # noqa: PLC0415
    from training.voice.relevance import relevant  # noqa: PLC0415

    rng = random.Random(3)
    for kind in SHARES:
        for make in (sample, scattered):
            for _ in range(10):
                tokens = relevant(sample_of(make(rng), kind, rng))
                assert tokens is None or all(0 <= token < TOKENS for token in tokens), kind


def test_an_answer_can_be_read_from_the_token_that_is_meant() -> None:
    """The side token of the thing asked about differs where what is beside it does, and no other one."""
    from training.things.encoder import ThingsEncoder  # noqa: PLC0415
    from training.things.view import tensor_rows  # noqa: PLC0415
    from training.voice.relevance import relevant  # noqa: PLC0415

    torch.manual_seed(1)
    encoder = ThingsEncoder(16)
    other = [YARD[0], YARD[1], thing("cat", YARD[2].box)]
    features = encoder(torch.tensor([tensor_rows(YARD), tensor_rows(other)]))
    assert View(YARD).neighbour(YARD[0], "left") != View(other).neighbour(YARD[0], "left")
    changed = ((features[0] - features[1]).abs().amax(-1) > 1e-6).nonzero().flatten().tolist()
    (left,) = relevant(Sample("vqa left", YARD, "", "", NUMBER_OF["person"])) or []
    assert left in changed
    assert not {0, 2, 3, 4} & set(changed)
