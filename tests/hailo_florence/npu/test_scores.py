"""Numbers as the chip stores them: the choice from stored scores is that from real ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hailo_common.inference.sampling import Chooser, Logits
from hailo_common.npu.network import Quantization, QuantizedRow
from hailo_florence.model.generation import Generation, GenerationConfig, LengthLimits, generate

RULES = (
    GenerationConfig(start=2, eos=(2,), bos=0),
    GenerationConfig(start=2, eos=(2,), bos=0, forced_bos=0, forced_eos=2, no_repeat_ngram=3, suppress=(5,)),
    GenerationConfig(start=2, eos=(2, 7), bos=0, no_repeat_ngram=1, min_length=4, bad_words=((8,), (3, 9))),
    GenerationConfig(start=2, eos=(2,), bos=0, repetition_penalty=1.3, begin_suppress=(4,)),
)


@dataclass(frozen=True)
class Info:
    """As HailoRT's QuantInfo."""

    qp_zp: float
    qp_scale: float


def scale(zero: float = 7.0, step: float = 0.25, kind: Any = np.uint8) -> Quantization:
    return Quantization([Info(zero, step)], np.dtype(kind))


class Rows:
    """A decoder whose scores are given, stored or real."""

    def __init__(self, rows: list[list[int]], quantisation: Quantization, *, stored: bool) -> None:
        self._rows = [np.array(row, np.uint8) for row in rows]
        self._quantisation, self._stored, self._place = quantisation, stored, 0

    def step(self, token: int) -> Logits | QuantizedRow:
        row = self._rows[self._place % len(self._rows)].copy()
        self._place += 1
        return QuantizedRow(row, self._quantisation) if self._stored else self._quantisation.read(row)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.lists(st.integers(0, 255), min_size=12, max_size=12), min_size=1, max_size=6),
    st.sampled_from(RULES),
    st.sampled_from([0.0, 0.8]),
)
def test_stored_and_real_scores_give_the_same_answer(
    rows: list[list[int]], rules: GenerationConfig, temperature: float
) -> None:
    answers = []
    for stored in (True, False):
        answer, chooser = Generation(), Chooser(temperature, 3)
        list(generate(Rows(rows, scale(), stored=stored), rules, LengthLimits(8), chooser, answer))
        answers.append((answer.tokens, answer.finish_reason))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_numbers_come_back_and_the_rest_becomes_the_nearest(kind: Any) -> None:
    quantisation = scale(kind=kind)
    most = np.iinfo(kind).max
    real = np.array([[-99, -1.75, 0, 0.3, 1e9]], np.float32)
    stored = np.zeros((1, 5), kind)
    quantisation.store(real, stored)
    assert stored.tolist() == [[0, 0, 7, 8, most]]
    assert quantisation.read(stored).tolist() == [[-1.75, -1.75, 0, 0.25, (most - 7) * 0.25]]
    quantisation.clear(stored)
    assert not quantisation.read(stored).any()


def test_a_scale_for_each_feature_needs_real_numbers() -> None:
    each = Quantization([Info(0, 1.0), Info(0, 3.0)], np.dtype(np.uint8))
    row = QuantizedRow(np.array([9, 5], np.uint8), each)
    assert row.best([]) is None
    assert row.real().tolist() == [9, 15]
    assert each.valid
    assert not Quantization([Info(0, 0.0)], np.dtype(np.uint8)).valid
    assert not Quantization([], np.dtype(np.uint8)).valid
