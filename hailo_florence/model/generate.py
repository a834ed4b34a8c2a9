"""The decoding loop: one answer, token by token, and when it ends.

Knows stages and rules, no pictures and no text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from time import perf_counter

from hailo_common.inference.sampling import Chooser, check_finite
from hailo_common.npu.network import QuantizedRow
from hailo_florence.model.generation import GenerationConfig, banned, forced_token, shape_scores
from hailo_florence.model.stages import Decoding


@dataclass
class Generation:
    """An answer in the making: `tokens` as chosen (specials included), start token not included."""

    tokens: list[int] = field(default_factory=list)
    finish_reason: str = "length"
    seconds: float = 0.0


@dataclass(frozen=True)
class LengthLimits:
    """How long an answer may be, in answer tokens: BOS and EOS around it are not counted.

    `shortest=None` means the model's own minimum.
    """

    longest: int
    shortest: int | None = None


def generate(
    decoding: Decoding, rules: GenerationConfig, limits: LengthLimits, chooser: Chooser, answer: Generation
) -> Iterator[int]:
    """Run the decoder until it ends the answer or the limit is reached; yields each token as it is chosen.

    Fills `answer` as it goes; `seconds` counts decoding only, not what the consumer does between tokens.
    One step past the limit tells a natural end from a cut. A cut ends with the model's forced EOS, or
    with nothing where the model has none. Raises EngineFailed for scores that are not numbers.
    """
    sequence = [rules.start]
    while True:
        began = perf_counter()
        token = _next(decoding, rules, limits, chooser, sequence)
        answer.seconds += perf_counter() - began
        answered = len(sequence) - 1 - _lead(sequence, rules)
        ended = token in rules.eos
        if ended:
            answer.finish_reason = "stop"
        if answered >= limits.longest:
            if rules.forced_eos is None and not ended:
                return
            token = token if rules.forced_eos is None else rules.forced_eos
            ended = True
        sequence.append(token)
        answer.tokens.append(token)
        yield token
        if ended:
            return


def default_minimum(rules: GenerationConfig) -> int:
    """The model's minimum in answer tokens; Hugging Face's count has the start token and a forced BOS too."""
    return max(0, rules.min_length - 1 - (rules.forced_bos is not None))


def _next(
    decoding: Decoding, rules: GenerationConfig, limits: LengthLimits, chooser: Chooser, sequence: list[int]
) -> int:
    scores = decoding.step(sequence[-1])
    minimum = rules.min_length
    if limits.shortest is not None:
        minimum = limits.shortest + 1 + _lead(sequence, rules) if limits.shortest else 0
    if isinstance(scores, QuantizedRow):
        best = _best(scores, sequence, rules, minimum) if chooser.greedy else None
        if best is not None:
            return best
        scores = scores.real()
    check_finite(scores)
    shape_scores(scores, sequence, rules, minimum)
    return chooser.choose(scores)


def _best(scores: QuantizedRow, sequence: list[int], rules: GenerationConfig, minimum: int) -> int | None:
    """The greedy choice from scores as the chip stores them; None when only real numbers can tell."""
    if rules.repetition_penalty != 1.0:
        return None
    refused = banned(sequence, rules, minimum)
    forced = forced_token(sequence, rules)
    if forced is None:
        return scores.best(refused)
    return None if forced in refused or forced >= scores.size else forced


def _lead(sequence: list[int], rules: GenerationConfig) -> int:
    """1 when the answer begins with BOS (forced or chosen), else 0."""
    return int(len(sequence) > 1 and sequence[1] in (rules.bos, rules.forced_bos))
