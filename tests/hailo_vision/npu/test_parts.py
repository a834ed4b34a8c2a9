"""The pure parts of the chip's pipeline: sampling, streams, frames, contexts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hailo_common.errors import ModelError, NotSupported
from hailo_vision.npu.completion import (
    CompletionReader,
    CompletionState,
    CompletionTimeouts,
    parameters,
    refuse,
    repetition,
)
from hailo_vision.npu.frames import FrameShape, frame_shape
from hailo_vision.protocol import ChatMessage, Sampling, VisionRequest
from hailo_vision.text.tokens import StopStrings

END, MORE = "<|im_end|>", "<|vision_start|>"
GENERATING, ENDED, FULL = "GENERATING", "LOGICAL_END_OF_GENERATION", "MAX_TOKENS_REACHED"
PATIENCE = CompletionTimeouts(7.0, 3.0)


def test_greedy_is_no_temperature() -> None:
    assert parameters(Sampling(), 9) == {"max_generated_tokens": 9, "do_sample": False}


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(0.7), {"temperature": 0.7, "top_p": 1.0, "top_k": 256}),
        (Sampling(1e-9, top_p=0.0), {"temperature": 0.01, "top_p": 0.0, "top_k": 256}),
        (Sampling(2.0, top_k=5, seed=7), {"temperature": 2.0, "top_p": 1.0, "top_k": 5, "seed": 7}),
        (Sampling(1.0, top_k=2**60), {"temperature": 1.0, "top_p": 1.0, "top_k": 256}),
        (Sampling(1.0, seed=2**32 - 1), {"temperature": 1.0, "top_p": 1.0, "top_k": 256, "seed": 0}),
        (
            Sampling(1.0, seed=2**63),
            {"temperature": 1.0, "top_p": 1.0, "top_k": 256, "seed": 2**63 % (2**32 - 1)},
        ),
    ],
    ids=str,
)
def test_drawing(sampling: Sampling, expected: dict[str, Any]) -> None:
    assert parameters(sampling, 3) == {"max_generated_tokens": 3, "do_sample": True, **expected}


@pytest.mark.parametrize(
    ("sampling", "penalty"),
    [
        (Sampling(), None),
        (Sampling(repetition=1.3), 1.3),
        (Sampling(frequency=1.0), 1.05),
        (Sampling(presence=2.0, frequency=2.0), 1.2),
        (Sampling(presence=-2.0, frequency=-2.0), 0.8),
        (Sampling(repetition=1.2, frequency=-1.0), 1.15),
        (Sampling(repetition=0.01, frequency=-2.0), 0.01),
    ],
    ids=str,
)
def test_three_penalties_become_one(sampling: Sampling, penalty: float | None) -> None:
    made = repetition(sampling)
    assert made == (None if penalty is None else pytest.approx(penalty))
    sent = parameters(sampling, 1)
    assert ("frequency_penalty" in sent) == (penalty is not None)
    assert sent.get("frequency_penalty", 1) != 0


def test_what_the_chip_cannot_do_is_refused() -> None:
    talk = (ChatMessage("user", ("Hi",)),)
    with pytest.raises(NotSupported) as caught:
        refuse(VisionRequest(talk, 1, Sampling(bias={3: 1.0}), (), None, "refuse"))
    assert caught.value.param == "logit_bias"
    with pytest.raises(NotSupported) as caught:
        refuse(VisionRequest(talk, 1, Sampling(), (), {"type": "json_object"}, "refuse"))
    assert caught.value.param == "response_format"
    refuse(VisionRequest(talk, 1, Sampling(), (), None, "refuse"))


@dataclass
class Told:
    """A completion that says what it is told: (chunk, status) after (chunk, status)."""

    said: Iterator[tuple[str, str]]
    generation_status: Any = None

    def __post_init__(self) -> None:
        self.waits: list[int] = []

    def read(self, timeout_ms: int = 10000) -> str:
        """The next chunk."""
        self.waits.append(timeout_ms)
        chunk, status = next(self.said)
        self.generation_status = SimpleNamespace(name=status)
        return chunk

    def release(self) -> None:
        """Nothing."""


def spoken(
    said: Sequence[tuple[str, str]], longest: int, stops: Sequence[str] = ()
) -> tuple[CompletionState, list[str]]:
    """What becomes of these chunks, and the texts in between."""
    made, completion = CompletionState(), Told(iter(said))
    texts = list(
        CompletionReader({END, MORE}, {END}, longest).read(completion, StopStrings(stops), made, PATIENCE)
    )
    assert completion.waits == [7000, *[3000] * (len(completion.waits) - 1)]
    assert "".join(texts) == made.text
    return made, texts


def going(*chunks: str) -> list[tuple[str, str]]:
    """Chunks of an answer that goes on."""
    return [(chunk, GENERATING) for chunk in chunks]


def test_an_answer_that_ends_by_itself() -> None:
    made, texts = spoken([*going("A", " red", "", " dot"), (END, ENDED)], 99)
    assert texts == ["A", " red", "", " dot", "", ""]
    assert (made.text, made.raw, made.end) == ("A red dot", "A red dot", END)
    assert (made.finish_reason, made.chunks, made.surplus, made.whole) == ("stop", 5, 0, True)


def test_a_cut_answer_and_what_follows_it() -> None:
    made, _ = spoken([*going("A", " red"), ("<|im_", GENERATING), ("end|>", FULL)], 2)
    assert (made.text, made.finish_reason, made.chunks, made.surplus) == ("A red", "length", 2, 2)
    assert not made.whole


def test_a_cut_answer_without_anything_after_it() -> None:
    made, _ = spoken([*going("A"), (" red", FULL)], 2)
    assert (made.text, made.finish_reason, made.chunks, made.surplus) == ("A red", "length", 2, 0)


def test_an_end_on_the_limit_is_told_twice() -> None:
    made, _ = spoken([*going("A", END), (END, FULL)], 2)
    assert (made.text, made.finish_reason, made.chunks, made.surplus) == ("A", "stop", 2, 1)
    assert not made.whole


def test_nothing_but_the_end() -> None:
    made, _ = spoken([(END, ENDED)], 5)
    assert (made.text, made.finish_reason, made.chunks, made.whole) == ("", "stop", 1, True)


def test_other_special_tokens_are_silent_and_forbid_to_go_on() -> None:
    made, _ = spoken([*going("A", MORE, "B"), (END, ENDED)], 9)
    assert (made.text, made.chunks, made.whole) == ("AB", 4, False)


def test_a_stop_string_across_chunks_ends_the_reading() -> None:
    made, texts = spoken(going("A re", "d d", "ot. And"), 9, ["dot."])
    assert (made.text, made.finish_reason, made.chunks, made.whole) == ("A red ", "stop", 3, False)
    assert texts[0] == "A re"


def test_what_looked_like_a_stop_string_is_given_at_the_end() -> None:
    made, _ = spoken([*going("A do"), (END, ENDED)], 9, ["dot"])
    assert (made.text, made.finish_reason, made.whole) == ("A do", "stop", True)


def test_an_answer_that_the_chip_withholds_says_so_and_is_not_waited_for() -> None:
    """After a replacement character of the model's own HailoRT hands out no text, and no end, any more."""
    made, texts = spoken([*going("A", " red"), *going(*[""] * 40), ("", ENDED)], 99)
    assert (made.text, made.finish_reason, made.whole, made.left) == (
        "A red\N{REPLACEMENT CHARACTER}",
        "length",
        False,
        True,
    )
    assert len(texts) < 25


def test_an_answer_whose_last_tokens_are_withheld() -> None:
    made, _ = spoken([*going("A", " red", ""), ("", ENDED)], 99)
    assert (made.text, made.finish_reason, made.whole) == ("A red\N{REPLACEMENT CHARACTER}", "length", False)


def test_a_character_of_several_tokens_is_no_withheld_answer() -> None:
    made, _ = spoken([*going("A", "", "", "", "\N{SLIGHTLY SMILING FACE}"), (END, ENDED)], 99)
    assert (made.text, made.finish_reason) == ("A\N{SLIGHTLY SMILING FACE}", "stop")


def test_a_frame_is_a_writable_copy_of_its_own() -> None:
    shape = FrameShape(4, 6, np.dtype(np.uint8))
    shared = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
    shared.flags.writeable = False
    made = shape.frame(shared)
    assert made.pixels.flags.c_contiguous
    assert made.pixels.flags.writeable
    assert np.array_equal(made.pixels, shared)
    assert not np.shares_memory(made.pixels, shared)
    assert shape.frame(np.asfortranarray(shared)).digest == made.digest
    assert shape.grey().digest != made.digest


@pytest.mark.parametrize("size", [(6, 4, 3), (4, 6, 1), (4, 6), (8, 9, 1)])
def test_an_image_of_another_size_never_reaches_the_chip(size: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="4 x 6"):
        FrameShape(4, 6, np.dtype(np.uint8)).frame(np.zeros(size, np.uint8))


@pytest.mark.parametrize(
    ("shape", "dtype", "size", "word"),
    [
        ([8, 8, 4], np.uint8, 256, "channels"),
        ([8, 8], np.uint8, 64, "channels"),
        ([8, 8, 3], np.uint8, 99, "bytes"),
    ],
)
def test_a_hef_that_wants_no_images(shape: list[int], dtype: Any, size: int, word: str) -> None:
    vlm: Any = SimpleNamespace(
        input_frame_shape=lambda: shape,
        input_frame_format_type=lambda: np.dtype(dtype),
        input_frame_size=lambda: size,
    )
    with pytest.raises(ModelError, match=word):
        frame_shape(vlm)


def test_the_decoder_is_told_the_frame() -> None:
    target = FrameShape(4, 6, np.dtype(np.uint8)).target("crop")
    assert (target.width, target.height, target.fit) == (6, 4, "crop")
    with pytest.raises(ModelError, match="frame_fit"):
        FrameShape(4, 6, np.dtype(np.uint8)).target("squash")
