"""Beam search: several answers in the making, of which the likeliest is given.

Source of the semantics: transformers 5.23, `GenerationMixin._beam_search`, whose tokens these are. The score
of an answer is the sum of its tokens' log-probabilities, divided by its length to the power of the length
penalty; whether unfinished answers can still win is estimated as `early_stopping` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from hailo_common.inference.sampling import Logits, check_finite
from hailo_common.npu.network import QuantizedRow
from hailo_florence.model.generation import (
    Generation,
    GenerationConfig,
    LengthLimits,
    force,
    minimum_of,
    shape_scores,
)
from hailo_florence.model.stages import ForkableDecoding

_NEVER = np.float32(-1e9)


@dataclass(frozen=True, eq=False)
class _Beam:
    """An answer in the making: tokens, start token first, and the sum of their log-probabilities."""

    tokens: tuple[int, ...]
    score: np.float32
    decoding: ForkableDecoding


@dataclass(frozen=True, eq=False)
class _Scored:
    """What may follow some tokens; `ends` says that the model itself would end here."""

    following: Logits
    decoding: ForkableDecoding
    ends: bool


@dataclass(frozen=True, eq=False)
class _Found:
    """An answer that may be given: its score for its length, and whether it ends by itself."""

    score: np.float32
    tokens: tuple[int, ...] = ()
    finished: bool = False
    natural: bool = False


@dataclass(frozen=True, eq=False)
class _Candidate:
    """One more token for a beam; `over` when nothing can follow it."""

    score: np.float32
    beam: int
    token: int
    over: bool


class BeamSearch:
    """One search. Lengths count as Hugging Face's do: the start token and what surrounds an answer too."""

    def __init__(self, rules: GenerationConfig, limits: LengthLimits, beams: int) -> None:
        """`beams` is how many answers are kept, 2 or more."""
        self._rules, self._limits, self._beams = rules, limits, beams
        self._longest = 1 + (rules.forced_bos is not None) + limits.longest + 1
        self._found = [_Found(_NEVER)] * beams
        self._hopeful = True

    def run(self, decoding: ForkableDecoding, answer: Generation) -> Iterator[int | str]:
        """Fill `answer`; yields "" while it searches, then the tokens. Raises as `generate`."""
        first = _Beam((self._rules.start,), np.float32(0), decoding)
        rest = _Beam(first.tokens, _NEVER, decoding)
        running, more = [first, *[rest] * (self._beams - 1)], True
        while more:
            scored: dict[tuple[int, ...], _Scored] = {}
            for beam in running:
                if beam.tokens not in scored:
                    began = perf_counter()
                    scored[beam.tokens] = self._score(beam)
                    answer.seconds += perf_counter() - began
                    yield ""
            running, more = self._advance(running, scored)
        yield from self._give(answer)

    def _score(self, beam: _Beam) -> _Scored:
        row = beam.decoding.step(beam.tokens[-1])
        scores = row.real() if isinstance(row, QuantizedRow) else row
        check_finite(scores)
        following, rules = log_softmax(scores), self._rules
        shape_scores(following, beam.tokens, rules, minimum_of(beam.tokens, rules, self._limits))
        ends = int(following.argmax()) in rules.eos
        if len(beam.tokens) == self._longest - 1 and rules.forced_eos is not None:
            force(following, rules.forced_eos)
        return _Scored(following, beam.decoding, ends)

    def _advance(
        self, running: Sequence[_Beam], scored: dict[tuple[int, ...], _Scored]
    ) -> tuple[list[_Beam], bool]:
        """The beams of the next step, and whether there is one."""
        candidates = self._candidates(running, scored)
        self._collect(running, scored, candidates)
        open_scores = np.array([each.score + (_NEVER if each.over else 0) for each in candidates], np.float32)
        chosen = [(candidates[at], open_scores[at]) for at in best(open_scores, self._beams)]
        following = [
            _Beam(
                (*running[each.beam].tokens, each.token),
                score,
                scored[running[each.beam].tokens].decoding.fork(),
            )
            for each, score in chosen
        ]
        self._judge(following)
        early = self._rules.early_stopping is True and all(found.finished for found in self._found)
        return following, self._hopeful and not early and not all(each.over for each in candidates)

    def _candidates(
        self, running: Sequence[_Beam], scored: dict[tuple[int, ...], _Scored]
    ) -> list[_Candidate]:
        """The best continuations of all beams: enough of them that as many go on as are kept."""
        rows = [scored[beam.tokens].following + beam.score for beam in running]
        size, last = rows[0].size, len(running[0].tokens) + 1 >= self._longest
        every = np.concatenate(rows)
        keep = min(every.size, max(2, 1 + len(self._rules.eos)) * self._beams)
        places = [(every[at], *divmod(int(at), size)) for at in best(every, keep)]
        return [
            _Candidate(score, beam, token, last or token in self._rules.eos) for score, beam, token in places
        ]

    def _collect(
        self,
        running: Sequence[_Beam],
        scored: dict[tuple[int, ...], _Scored],
        candidates: Sequence[_Candidate],
    ) -> None:
        """Keep the best of what was found and what is over now; only the first candidates may win."""
        length = np.float32(len(running[0].tokens) ** self._rules.length_penalty)
        full = self._rules.early_stopping is True and all(found.finished for found in self._found)
        refused = _NEVER * (int(full) + int(not self._hopeful))
        new = []
        for place, each in enumerate(candidates):
            tokens, over = running[each.beam].tokens, each.over and place < self._beams
            score = np.float32(each.score / length + refused + (0 if over else _NEVER))
            new.append(_Found(score, (*tokens, each.token), over, scored[tokens].ends))
        every = [*self._found, *new]
        scores = np.array([found.score for found in every], np.float32)
        self._found = [every[at] for at in best(scores, self._beams)]

    def _judge(self, running: Sequence[_Beam]) -> None:
        """Give up hope for beams that cannot beat what is found any more, as far as that can be told."""
        rules, length = self._rules, len(running[0].tokens) - 1
        if rules.early_stopping == "never" and rules.length_penalty > 0:
            length = self._longest - 1
        possible = running[0].score / np.float32(length**rules.length_penalty)
        worst = min(found.score for found in self._found)
        self._hopeful &= any(possible > (worst if found.finished else _NEVER) for found in self._found)

    def _give(self, answer: Generation) -> Iterator[int]:
        found = self._found[0]
        tokens, ends = list(found.tokens[1:]), self._rules.eos
        answer.finish_reason = "stop" if found.natural and tokens and tokens[-1] in ends else "length"
        if len(found.tokens) < self._longest:
            answer.finish_reason = "stop"
        elif tokens[-1] not in ends:
            tokens.pop()  # as `generate` does: what is beyond the limit is not given
        for token in tokens:
            answer.tokens.append(token)
            yield token


def log_softmax(scores: Logits) -> Logits:
    """Log-probabilities of scores, in float32."""
    shifted = scores - scores.max()
    made: Logits = shifted - np.log(np.exp(shifted).sum(dtype=np.float32))
    return made


def best(scores: Logits, count: int) -> NDArray[np.int64]:
    """Places of the best scores, best first; of equal ones the first."""
    if count < scores.size:
        threshold = np.partition(scores, -count)[-count]
        places = np.flatnonzero(scores >= threshold)
    else:
        places = np.arange(scores.size)
    return places[np.argsort(-scores[places], kind="stable")][:count]
