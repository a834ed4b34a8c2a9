"""The decoding loop over the ONNX decoder, and what a model folder says of generating.

Knows stages and tokens, no images and no requests.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from hailo_common.errors import ModelError
from hailo_common.inference.hf_config import repetition_penalty, token_ids
from hailo_common.inference.model_dir import ModelDir
from hailo_common.inference.sampling import Logits
from hailo_vision.onnx.stages import Decoder, Embedding, Floats, KVCache
from hailo_vision.text.generation import AnswerWriter, GeneratedText


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


def generate(
    state: DecoderState, logits: Logits, writer: AnswerWriter, answer: GeneratedText
) -> Iterator[str]:
    """Decode until the answer that `writer` fills is done; yields the text of each token as it is chosen.

    `logits` are the scores of the first token. `answer.seconds` does not count what the consumer does between
    tokens. Raises EngineFailed for scores that are not numbers.
    """
    while True:
        began = perf_counter()
        if answer.tokens:
            logits = state.step(answer.tokens[-1])
        shown = writer.take(logits)
        answer.seconds += perf_counter() - began
        yield shown
        if writer.done:
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
