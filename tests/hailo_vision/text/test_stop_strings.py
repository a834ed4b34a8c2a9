"""Text as it streams: whole characters only, and stop strings wherever tokens cut them."""

from __future__ import annotations

from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hailo_common.inference.model_dir import ModelDir
from hailo_vision.text.generation import Detokenizer, TextStream
from hailo_vision.text.tokens import StopStrings, Tokens
from tests.hailo_vision.conversations import FOLDERS

TOKENS = Tokens(ModelDir(FOLDERS["random-a"]))
ENDING = TOKENS.added["<|im_end|>"]


def streamed(stops: list[str], pieces: list[str]) -> tuple[list[str], bool]:
    """What is shown for each piece and at the end, and whether a stop string was met."""
    made = StopStrings(stops)
    shown = [made.add(piece) for piece in pieces]
    return [*shown, made.end()], made.stopped


@pytest.mark.parametrize(
    ("stops", "pieces", "shown", "stopped"),
    [
        ([], ["a", "b"], ["a", "b", ""], False),
        (["END"], ["a", "b"], ["a", "b", ""], False),
        (["END"], ["aE", "N", "Db"], ["a", "", "", ""], True),
        (["END"], ["aE", "N", "d"], ["a", "", "ENd", ""], False),
        (["END"], ["aE"], ["a", "E"], False),
        (["END"], ["xEENDEND"], ["xE", ""], True),
        (["aab"], ["a", "a", "a", "b"], ["", "", "a", "", ""], True),
        (["b", "abc"], ["ab", "c"], ["a", "", ""], True),
        (["\n\n"], ["a\n", "b\n", "\n"], ["a", "\nb", "", ""], True),
        (["x"], ["x", "more"], ["", "", ""], True),
    ],
)
def test_stops(stops: list[str], pieces: list[str], shown: list[str], stopped: bool) -> None:
    assert streamed(stops, pieces) == (shown, stopped)


@given(st.lists(st.text("ab<", min_size=1, max_size=4), max_size=3), st.lists(st.text("ab<", max_size=3)))
def test_streaming_shows_what_cutting_the_whole_text_would(stops: list[str], pieces: list[str]) -> None:
    shown, stopped = streamed(stops, pieces)
    whole = "".join(pieces)
    ends = [place + len(stop) for stop in stops if (place := whole.find(stop)) >= 0]
    assert stopped == bool(ends)
    if not stopped:
        assert "".join(shown) == whole
    else:
        text = "".join(shown)
        assert whole.startswith(text)
        assert not any(stop in text for stop in stops)
        assert any(whole[len(text) :].startswith(stop) for stop in stops)


@given(st.text())
def test_text_survives(text: str) -> None:
    detokeniser = Detokenizer(TOKENS)
    pieces = [detokeniser.add(token) for token in TOKENS.encode(text, {})]
    # Qwen2's tokenizer normalises to NFC, which has other characters for some: U+F900 becomes U+8C48.
    assert "".join(pieces) + detokeniser.end() == normalize("NFC", text)
    assert all("\ufffd" not in piece for piece in pieces) or "\ufffd" in text


def test_half_characters_wait_and_broken_ones_are_replaced() -> None:
    first, *rest = TOKENS.encode("😀", {})
    detokeniser = Detokenizer(TOKENS)
    assert [detokeniser.add(token) for token in (first, *rest)] == [*[""] * len(rest), "😀"]
    assert detokeniser.add(first) == ""
    assert detokeniser.add(TOKENS.encode("a", {})[0]) == "\ufffda"
    assert detokeniser.add(first) == detokeniser.add(ENDING) == ""
    assert detokeniser.end() == "\ufffd"


@given(st.lists(st.integers(0, TOKENS.size - 1)))
def test_any_tokens_read_as_the_whole_does(tokens: list[int]) -> None:
    detokeniser = Detokenizer(TOKENS)
    shown = "".join(map(detokeniser.add, tokens)) + detokeniser.end()
    assert shown == b"".join(map(TOKENS.bytes_of, tokens)).decode("utf-8", "replace")


def test_a_stop_string_met_by_the_last_half_character() -> None:
    writer = TextStream(Detokenizer(TOKENS), StopStrings(["\ufffd"]))
    assert writer.add(TOKENS.encode("😀", {})[0]) == ""
    assert writer.end() == ""
    assert writer.stopped
