"""One answer read from the chip, chunk by chunk: clean text, and how it ended.

A chunk is one token: possibly empty while a character is incomplete, possibly the text of a special token.
After an answer that was cut come chunks of a recovery sequence, which are no part of it. Source:
`LLMServer::handle_read_request` and `handle_generation_completion` of HailoRT.

How an answer is chosen, in the terms of HailoRT's `VLM.generate`.

Source of the semantics: `hailort_server/genai/llm/post_process.cpp` and `llm_server.cpp` of HailoRT.
`frequency_penalty` there is what others call the repetition penalty (1 is none), over the tokens of
answers since the context was cleared; `top_k` has no upper bound and reads past the scores.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from hailo_common.errors import NotSupported
from hailo_common.npu.types import GENERATING, Completion
from hailo_vision.protocol import Sampling, VisionRequest
from hailo_vision.text.tokens import StopStrings

ENDED = "LOGICAL_END_OF_GENERATION"
UNPRINTABLE = "\N{REPLACEMENT CHARACTER}"
"""What an answer ends with whose rest the chip withholds: its tokenizer waits for the rest of a character, in
vain once the model has written this one (or bytes that are none), and hands out no text any more."""
_MOST_SILENT = 16
"""A character has four bytes; tokens that end one and begin another may follow each other for some time."""
_LOOP, _LOOK_EVERY = 96, 8
log = logging.getLogger(__name__)


@dataclass
class CompletionState:
    """An answer in the making.

    `text` is what may be shown, `raw` all that the model wrote, `end` the token that ended it; `chunks`
    counts tokens of the answer and `surplus` those after its last one.
    """

    text: str = ""
    raw: str = ""
    end: str = ""
    chunks: int = 0
    surplus: int = 0
    finish_reason: str = "length"
    whole: bool = field(default=False)
    """True when the model ended by itself and `raw` is exactly what stands in its context."""
    left: bool = False
    """True where reading ended before the chip did: its context then holds more than `chunks`."""
    silent: int = 0
    """Tokens since the last one that had a text."""


@dataclass(frozen=True)
class CompletionTimeouts:
    """The longest wait for a chunk, in seconds: the first one comes after the whole prompt was read."""

    first_s: float
    next_s: float


class LoopGuard:
    """Notices an answer that says the same over and over, as greedy ones of small models do."""

    def __init__(self) -> None:
        self._recent: deque[str] = deque(maxlen=_LOOP)
        self._count = 0

    def add(self, chunk: str) -> bool:
        """Take a chunk; True when the last `_LOOP` of them repeat a piece of at most a third of that."""
        self._recent.append(chunk)
        self._count += 1
        if len(self._recent) < _LOOP or self._count % _LOOK_EVERY:
            return False
        recent = list(self._recent)
        looping = any(recent[period:] == recent[:-period] for period in range(1, _LOOP // 3 + 1))
        if looping and any(recent):
            log.warning("the answer repeats itself and is cut")
        return looping and any(recent)


class CompletionReader:
    """Reads one completion. `specials` are the texts of special tokens, `ends` those that end an answer."""

    def __init__(self, specials: Collection[str], ends: Collection[str], max_tokens: int) -> None:
        self._specials, self._ends = frozenset(specials), frozenset(ends)
        self._max_tokens = max_tokens
        self._hidden = False
        self._loops = LoopGuard()

    def read(
        self,
        completion: Completion,
        stops: StopStrings,
        state: CompletionState,
        timeouts: CompletionTimeouts,
    ) -> Iterator[str]:
        """Read to the end or to a stop string, filling `state`; yields what each chunk adds.

        After a stop string the chip still writes: release the completion. Raises HailoRT's exceptions.
        """
        wait_s = timeouts.first_s
        while True:
            chunk = completion.read(timeout_ms=max(1, round(wait_s * 1000)))
            wait_s = timeouts.next_s
            status = str(completion.generation_status.name)
            if state.chunks == self._max_tokens:
                state.surplus += 1
            else:
                yield self._take(chunk, stops, state)
            if stops.stopped:
                state.finish_reason, state.left = "stop", True
                return
            if status != GENERATING:
                break
            if state.silent > _MOST_SILENT or self._loops.add(chunk):
                state.left = True
                break
        held = stops.end() + (UNPRINTABLE if self._withheld(state, status) else "")
        state.text += held
        state.finish_reason = "stop" if state.end or (status == ENDED and not state.silent) else "length"
        state.whole = bool(state.end) and status == ENDED and not self._hidden
        yield held

    def _withheld(self, state: CompletionState, status: str) -> bool:
        """Whether the chip has kept the end of an answer, the token that ended it included, to itself."""
        kept = state.silent > _MOST_SILENT or (status == ENDED and bool(self._ends) and state.silent > 0)
        if kept:
            log.warning("the chip withholds an answer from a character on that it cannot print")
        return kept

    def _take(self, chunk: str, stops: StopStrings, state: CompletionState) -> str:
        """What one token of the answer adds to the text."""
        state.chunks += 1
        state.silent = 0 if chunk else state.silent + 1
        state.end = chunk if chunk in self._ends else ""
        if state.end:
            return ""
        if chunk in self._specials:
            self._hidden = True
            return ""
        state.raw += chunk
        shown = stops.add(chunk)
        state.text += shown
        return shown


_MIN_TEMPERATURE = 0.01  # the library's own default; scores divided by much less overflow
_MAX_TOP_K = 256
_RANDOM_SEED = 2**32 - 1
_STEP = 0.05  # scores of likely tokens are about 20, so this much repetition penalty is about one point
_MIN_PENALTY = 0.01


def refuse(request: VisionRequest) -> None:
    """Raise NotSupported for what the chip cannot do."""
    if request.sampling.bias:
        raise NotSupported("The NPU cannot bias single tokens.", param="logit_bias")
    if request.response_format is not None:
        raise NotSupported("Answers cannot be constrained on the NPU.", param="response_format")


def parameters(sampling: Sampling, max_tokens: int) -> dict[str, Any]:
    """Keyword arguments of `generate`; what is left out is the model's own."""
    made: dict[str, Any] = {"max_generated_tokens": max_tokens, "do_sample": sampling.temperature > 0}
    penalty = repetition(sampling)
    if penalty is not None:
        made["frequency_penalty"] = penalty
    if sampling.temperature > 0:
        made["temperature"] = max(_MIN_TEMPERATURE, sampling.temperature)
        made["top_p"] = sampling.top_p
        made["top_k"] = min(sampling.top_k or _MAX_TOP_K, _MAX_TOP_K)
        if sampling.seed is not None:
            made["seed"] = sampling.seed % _RANDOM_SEED
    return made


def repetition(sampling: Sampling) -> float | None:
    """The one penalty that the chip knows, None for the model's own.

    OpenAI's two are added to it: a point of either is 0.05 more, whether a token came once or often.
    """
    points = sampling.frequency + sampling.presence
    if sampling.repetition is None and not points:
        return None
    own = 1.0 if sampling.repetition is None else sampling.repetition
    made = max(_MIN_PENALTY, own + _STEP * points)
    return made if math.isfinite(made) else 1.0
