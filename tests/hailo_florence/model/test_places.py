"""Places read out of answers; against the reference itself: tests/oracle/test_places.py."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hailo_florence.model.places import find_places
from hailo_florence.protocol import Gives

L = "".join(f"<loc_{step}>" for step in (100, 200, 300, 400))
BOX = [50, 40, 150, 80]
SIZE = (500, 200)


@pytest.mark.parametrize(
    ("gives", "raw", "places"),
    [
        ("boxes", f"</s><s>car{L}{L} a dog {L}</s>", [("car", BOX), ("car", BOX), ("a dog", BOX)]),
        ("boxes", f"car{L}<loc_7>", [("car", BOX)]),
        ("boxes", f"car<loc_1><loc_2><loc_3>dog{L}", [("loc_3>dog", BOX)]),
        ("boxes", "nothing here", []),
        ("boxes", f"two\nlines{L}", []),
        ("boxes", f"caf\xe9{L}", [("caf", BOX)]),
        ("proposals", f"{L}{L}", [("", BOX), ("", BOX)]),
        ("phrases", f"the image{L}a cat{L}", [("a cat", BOX)]),
    ],
)
def test_boxes(gives: Gives, raw: str, places: list[Any]) -> None:
    found = find_places(raw, gives, SIZE)
    assert [(place["label"], place["box"]) for place in found] == places


def test_quads() -> None:
    found = find_places(f"</s><s>STOP{L}{L}12:30{L}{L}</s>", "quads", SIZE)
    assert found == [{"label": "STOP", "quad": BOX * 2}, {"label": "12:30", "quad": BOX * 2}]


def test_polygons() -> None:
    assert find_places(f"</s><s>{L}{L}<sep>{L}</s>", "polygons", SIZE) == [
        {"label": "", "polygons": [BOX * 2, BOX]}
    ]
    raw = f"a cat<poly>{L}<sep>{L}</poly><poly>{L}</poly>"
    assert find_places(raw, "boxes or polygons", SIZE) == [
        {"label": "a cat", "polygons": [BOX, BOX]},
        {"label": "a cat", "polygons": [BOX]},
    ]
    assert find_places(f"a cat{L}", "boxes or polygons", SIZE) == [{"label": "a cat", "box": BOX}]


def test_shares_of_the_sides() -> None:
    (place,) = find_places(f"x{L}", "boxes", None)
    assert place["box"] == [0.1005, 0.2005, 0.3005, 0.4005]


PIECES = [
    "<loc_1>",
    "<loc_999>",
    "<loc_" + "9" * 5000 + ">",
    "<poly>",
    "</poly>",
    "<sep>",
    "<s>",
    "a",
    "\n",
    "<",
]


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=40), st.sampled_from(get_args(Gives)))
@example([PIECES[2]] * 9, "quads")
def test_no_text_raises(pieces: list[str], gives: Gives) -> None:
    for size in (SIZE, None):
        for place in find_places("".join(pieces), gives, size):
            assert {"label"} < set(place) <= {"label", "box", "quad", "polygons"}
