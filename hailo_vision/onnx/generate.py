"""The decoding loop: one answer, how each token is chosen, its text without half a character, and its end.

Knows stages, tokens and text, no images and no requests.
"""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from hailo_common.errors import ModelError
from hailo_common.inference.hf_config import repetition_penalty, token_ids
from hailo_common.inference.model_dir import ModelDir
from hailo_common.inference.sampling import Chooser, Logits, check_finite, penalize_repetition
from hailo_vision.onnx.grammar import Constraint
from hailo_vision.onnx.stages import Decoder, Embedding, Floats, KVCache
from hailo_vision.protocol import Sampling
from hailo_vision.text.tokens import StopStrings, Tokens


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


class Detokenizer:
    """The text of one answer; special tokens write nothing, broken UTF-8 becomes U+FFFD."""

    def __init__(self, tokens: Tokens) -> None:
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


class DecoderState:
    """What the decoder has read of one conversation: `ids` and the past of exactly these."""

    def __init__(self, decoder: Decoder, embed: Embedding, past: KVCache, ids: Sequence[int]) -> None:
        self._decoder, self._embed = decoder, embed
        self.past = past
        self.ids = list(ids)
        self._next = 0

    def prefill(
        self, ids: Sequence[int], embedded: Floats, positions: NDArray[np.int64], following: int
    ) -> Logits:
        """Read the rest of the prompt, (1, n, d) at positions (3, 1, n); `following` is the one after it."""
        logits, self.past = self._decoder.extend(self.past, embedded, positions)
        self.ids += ids
        self._next = following
        return logits

    def step(self, token: int) -> Logits:
        """Read one token of the answer; scores of the next one, (vocabulary,)."""
        positions = np.full((3, 1, 1), self._next, np.int64)
        logits, self.past = self._decoder.extend(self.past, self._embed([token]), positions)
        self.ids.append(token)
        self._next += 1
        return logits


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


def generate(
    state: DecoderState,
    logits: Logits,
    picker: Picker,
    stream: TextStream,
    *,
    ends: Sequence[int],
    max_tokens: int,
    answer: GeneratedText,
) -> Iterator[str]:
    """Decode until the answer ends or has `max_tokens` tokens; yields the text of each token as it is chosen.

    `logits` are the scores of the first token. Fills `answer` as it goes; `seconds` does not count what the
    consumer does between tokens. Raises EngineFailed for scores that are not numbers.
    """
    for number in range(max_tokens):
        began = perf_counter()
        if number:
            logits = state.step(answer.tokens[-1])
        token = picker.pick(logits)
        answer.tokens.append(token)
        shown = "" if token in ends else stream.add(token)
        ended = token in ends or stream.stopped or picker.finished
        if ended or number == max_tokens - 1:
            shown += stream.end()
        ended = ended or stream.stopped
        answer.finish_reason = "stop" if ended else "length"
        answer.text += shown
        answer.seconds += perf_counter() - began
        yield shown
        if ended:
            return


_GENERATION = "generation_config.json"
_CONFIG = "config.json"


@dataclass(frozen=True)
class GenerationConfig:
    """`eos` are the tokens that end an answer; `repetition_penalty` holds where a request names none."""

    eos: tuple[int, ...]
    repetition_penalty: float = 1.0


def read_generation_config(folder: ModelDir) -> GenerationConfig:
    """The settings of the model; raises ModelError naming the file for values of the wrong kind.

    As in transformers, `config.json` speaks only where there is no `generation_config.json`, except for the
    ends, which it may complete.
    """
    config, values = folder.json(_CONFIG), folder.optional_json(_GENERATION)
    text = config.get("text_config")
    older = {**config, **(text if isinstance(text, dict) else {})}
    eos = token_ids(values.get("eos_token_id"), "eos_token_id", _GENERATION)
    eos = eos or token_ids(older.get("eos_token_id"), "eos_token_id", _CONFIG)
    if not eos:
        raise ModelError(f"{_GENERATION if values else _CONFIG}: expected a token id for 'eos_token_id'")
    source = (values, _GENERATION) if values else (older, _CONFIG)
    return GenerationConfig(eos, repetition_penalty(*source))
