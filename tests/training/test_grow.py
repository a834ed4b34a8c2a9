"""Weights carried over to more words and more tokens say what they said."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle


def test_words_known_before_keep_their_rows_and_new_ones_begin_like_others_of_their_place() -> None:
    from training.voice.grow import grown_words  # noqa: PLC0415

    old, fresh = torch.arange(6.0).reshape(3, 2), torch.full((4, 2), -1.0)
    known = {"dog": 0, "\u0120find": 1, "\u0120see": 2}
    tokens = {"\u0120see": 0, "\u0120spot": 1, "dog": 2, "\u0120violin": 3}
    found = grown_words(fresh, old, tokens, known)
    assert found[0].tolist() == [4, 5]
    assert found[1].tolist() == [3, 4]
    assert found[2].tolist() == [0, 1]
    assert found[3].tolist() == [-1, -1]


def test_tokens_of_a_list_begin_as_those_that_said_the_same() -> None:
    from training.things.encoder import A_THING, TOKENS  # noqa: PLC0415
    from training.things.view import ROWS  # noqa: PLC0415
    from training.voice.grow import OLD_TOKENS, old_slots  # noqa: PLC0415

    slots = old_slots(10, A_THING * ROWS)
    assert len(slots) == TOKENS
    assert slots[:8] == [0, 1, 1, 2, 2, 3, 0, 4]
    assert slots[70:72] == [40, 41]
    assert slots[-1] == OLD_TOKENS - 1
