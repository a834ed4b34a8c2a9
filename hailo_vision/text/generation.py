"""How one answer comes about, for every backend that chooses its own tokens: penalties, the choice, its text.

Knows tokens and scores; no stages, no images and no requests.
"""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from hailo_common.inference.sampling import Chooser, Logits, check_finite, penalize_repetition
from hailo_vision.protocol import Sampling, VisionRequest
from hailo_vision.text.grammar import Constraint
from hailo_vision.text.tokens import StopStrings


class Penalties:
    """Penalties and biases of one answer in the making."""

    def __init__(self, sampling: Sampling, repetition: float, prompt: Sequence[int]) -> None:
        """`repetition` is the model's own penalty, for requests that name none."""
        self._sampling = sampling
        self._repetition = repetition if sampling.repetition is None else sampling.repetition
        self._seen: dict[int, None] = dict.fromkeys(prompt if self._repetition != 1 else ())
        self._counts: Counter[int] = Counter()

    def apply(self, logits: Logits) -> None:
        """Change the scores (vocabulary,) of the next token in place."""
        if self._repetition != 1:
            penalize_repetition(logits, list(self._seen), self._repetition)
        if self._counts and (self._sampling.frequency or self._sampling.presence):
            tokens = np.fromiter(self._counts, np.int64, len(self._counts))
            counts = np.fromiter(self._counts.values(), np.float32, len(self._counts))
            logits[tokens] -= counts * self._sampling.frequency + self._sampling.presence
        for token, bias in self._sampling.bias.items():
            if token < logits.size:
                logits[token] += bias

    def add(self, token: int) -> None:
        """Count a token that was chosen."""
        self._counts[token] += 1
        if self._repetition != 1:
            self._seen[token] = None


class Picker:
    """Chooses the tokens of one answer."""

    def __init__(self, penalties: Penalties, chooser: Chooser, constraint: Constraint | None) -> None:
        self._penalties = penalties
        self._chooser = chooser
        self._constraint = constraint

    def pick(self, logits: Logits) -> int:
        """The next token from its scores (vocabulary,), which change; raises EngineFailed for NaN."""
        check_finite(logits)
        self._penalties.apply(logits)
        if self._constraint is not None:
            np.putmask(logits, ~self._constraint.allowed(), -np.inf)
        token = self._chooser.choose(logits)
        self._penalties.add(token)
        if self._constraint is not None:
            self._constraint.add(token)
        return token

    @property
    def finished(self) -> bool:
        """True when the answer's form allows nothing more."""
        return self._constraint is not None and self._constraint.finished


class TokenBytes(Protocol):
    """What a vocabulary must know for an answer to become text."""

    def bytes_of(self, token: int) -> bytes:
        """The UTF-8 bytes that a token stands for; b"" for special and unknown ones."""
        ...


class Detokenizer:
    """The text of one answer; special tokens write nothing, broken UTF-8 becomes U+FFFD."""

    def __init__(self, tokens: TokenBytes) -> None:
        self._tokens = tokens
        self._decoder = getincrementaldecoder("utf-8")("replace")

    def add(self, token: int) -> str:
        """The whole characters that `token` completes; "" while one is incomplete."""
        return self._decoder.decode(self._tokens.bytes_of(token))

    def end(self) -> str:
        """What an incomplete character at the end becomes."""
        return self._decoder.decode(b"", final=True)


@dataclass
class GeneratedText:
    """An answer in the making: `tokens` as chosen, the end included; `seconds` of decoding alone."""

    tokens: list[int] = field(default_factory=list)
    text: str = ""
    finish_reason: str = "length"
    seconds: float = 0.0


class TextStream:
    """Tokens of an answer to the text that may be shown."""

    def __init__(self, detokenizer: Detokenizer, stops: StopStrings) -> None:
        self._detokenizer, self._stops = detokenizer, stops

    def add(self, token: int) -> str:
        """What a token adds; "" while a character or what may be a stop string is incomplete."""
        return self._stops.add(self._detokenizer.add(token))

    def end(self) -> str:
        """What was held back, at the end of an answer."""
        shown = self._stops.add(self._detokenizer.end())
        return shown if self.stopped else shown + self._stops.end()

    @property
    def stopped(self) -> bool:
        """True once a stop string is complete."""
        return self._stops.stopped


class AnswerWriter:
    """Writes one answer, token by token, from the scores that a model gives; fills `answer` as it goes."""

    def __init__(
        self,
        picker: Picker,
        stream: TextStream,
        answer: GeneratedText,
        *,
        ends: Container[int],
        max_tokens: int,
    ) -> None:
        """`ends` are the tokens that end an answer; it has at most `max_tokens`, the end included."""
        self._picker, self._stream, self._answer = picker, stream, answer
        self._ends, self._max_tokens = ends, max_tokens
        self.done = False
        """True when the answer has ended, or is as long as it may be."""

    def take(self, logits: Logits) -> str:
        """Choose the next token from its scores (vocabulary,), which change; the text that may be shown now.

        Raises EngineFailed for scores that are not numbers.
        """
        answer = self._answer
        token = self._picker.pick(logits)
        answer.tokens.append(token)
        shown = "" if token in self._ends else self._stream.add(token)
        ended = token in self._ends or self._stream.stopped or self._picker.finished
        last = len(answer.tokens) >= self._max_tokens
        if ended or last:
            shown += self._stream.end()
        ended = ended or self._stream.stopped
        answer.finish_reason = "stop" if ended else "length"
        answer.text += shown
        self.done = ended or last
        return shown


def answer_writer(
    request: VisionRequest,
    tokens: TokenBytes,
    prompt: Sequence[int],
    constraint: Constraint | None,
    answer: GeneratedText,
    *,
    ends: Container[int],
    max_tokens: int,
    repetition: float = 1.0,
) -> AnswerWriter:
    """What writes `answer` as the request wants it, behind the tokens of its `prompt`.

    `repetition` is the model's own penalty.
    """
    sampling = request.sampling
    chooser = Chooser(sampling.temperature, sampling.seed, top_k=sampling.top_k, top_p=sampling.top_p)
    return AnswerWriter(
        Picker(Penalties(sampling, repetition, prompt), chooser, constraint),
        TextStream(Detokenizer(tokens), StopStrings(request.stops)),
        answer,
        ends=ends,
        max_tokens=max_tokens,
    )
