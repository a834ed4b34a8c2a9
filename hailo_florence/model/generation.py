"""The decoding loop, and choosing the next token: Hugging Face's logits processors as numpy functions.

Nothing here knows a model, a tokenizer or a backend. `GenerationConfig` is what a model's settings say,
`LengthLimits` what one request adds. Beams are in `beams`; the model's own `num_beams` is ignored.

Source of the semantics and of their order: transformers 5.23, `generation/logits_process.py` and
`GenerationMixin._get_logits_processor`.

A model's generation settings, read from `generation_config.json` and `config.json`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np

from hailo_common.errors import ModelError
from hailo_common.inference.hf_config import repetition_penalty, token_ids
from hailo_common.inference.model_dir import ModelDir, integer_in, section
from hailo_common.inference.sampling import Chooser, Logits, ban, check_finite, penalize_repetition
from hailo_common.npu.network import QuantizedRow
from hailo_florence.model.stages import Decoding


@dataclass(frozen=True)
class GenerationConfig:
    """Generation settings of a model; token ids index the vocabulary, lengths count as Hugging Face does.

    `min_length` counts the start token and a forced BOS, as `generation_config.json` does.
    """

    start: int
    eos: tuple[int, ...]
    bos: int | None = None
    pad: int | None = None
    forced_bos: int | None = None
    forced_eos: int | None = None
    min_length: int = 0
    no_repeat_ngram: int = 0
    repetition_penalty: float = 1.0
    bad_words: tuple[tuple[int, ...], ...] = ()
    suppress: tuple[int, ...] = ()
    begin_suppress: tuple[int, ...] = ()
    length_penalty: float = 1.0
    early_stopping: bool | str = False


def repeated(tokens: Sequence[int], size: int) -> list[int]:
    """Tokens that would complete an n-gram of `size` that already stands in `tokens` (start included)."""
    length = len(tokens)
    if length < size:
        return []
    tail = list(tokens[length + 1 - size :])
    starts = range(length - size + 1)
    return [tokens[i + size - 1] for i in starts if list(tokens[i : i + size - 1]) == tail]


def completing(tokens: Sequence[int], words: Sequence[tuple[int, ...]]) -> list[int]:
    """Last tokens of those `words` (sequences of ids) whose other tokens end `tokens`."""
    return [
        word[-1]
        for word in words
        if len(word) - 1 <= len(tokens) and tuple(tokens[len(tokens) - len(word) + 1 :]) == word[:-1]
    ]


def shape_scores(logits: Logits, tokens: Sequence[int], rules: GenerationConfig, min_length: int) -> None:
    """Apply the model's rules to `logits` in place.

    `tokens` is the decoder's sequence so far, the start token first. `min_length` counts like `tokens`:
    the end of sequence is banned while `len(tokens) < min_length`.
    """
    if rules.repetition_penalty != 1.0:
        penalize_repetition(logits, tokens, rules.repetition_penalty)
    forced = forced_token(tokens, rules)
    if forced is not None:
        force(logits, forced)
    ban(logits, banned(tokens, rules, min_length))


def forced_token(tokens: Sequence[int], rules: GenerationConfig) -> int | None:
    """The token that has to come next whatever its score, if there is one."""
    return rules.forced_bos if len(tokens) == 1 else None


def banned(tokens: Sequence[int], rules: GenerationConfig, min_length: int) -> list[int]:
    """Tokens that may not come next, of those that the scores decide; counts as `shape_scores` does."""
    found = list(rules.suppress)
    if len(tokens) == (1 if rules.forced_bos is None else 2):
        found += rules.begin_suppress
    if forced_token(tokens, rules) is not None:
        return found
    if rules.no_repeat_ngram:
        found += repeated(tokens, rules.no_repeat_ngram)
    if rules.bad_words:
        found += completing(tokens, rules.bad_words)
    if len(tokens) < min_length:
        found += rules.eos
    return found


def force(logits: Logits, token: int) -> None:
    """Leave `token` as the only possible choice, in place."""
    logits.fill(-np.inf)
    logits[token] = 0.0


_STEEPEST = 10
_GENERATION = "generation_config.json"
_CONFIG = "config.json"
_BOS, _EOS, _PAD = "bos_token_id", "eos_token_id", "pad_token_id"
_IDS = ("decoder_start_token_id", _BOS, _EOS, _PAD)


def read_generation_config(folder: ModelDir) -> GenerationConfig:
    """The rules of the model; raises ModelError naming the file for values of the wrong kind.

    As in transformers, `config.json` speaks only where there is no `generation_config.json`, except for the
    token ids, which it may complete. Folders that transformers 4.46 saved of Microsoft's own classes have a
    `generation_config.json` with the ids of another model beside the right ones in `text_config`: an answer
    ends at any end that one of the two names, and where they disagree about it, `text_config` knows BOS and
    padding.
    """
    config = folder.json(_CONFIG)
    older = {**config, **section(config, "text_config", _CONFIG)}
    values = folder.optional_json(_GENERATION)
    if not values:
        return _rules(older, _CONFIG)
    completed = {key: older[key] for key in _IDS if older.get(key) is not None and values.get(key) is None}
    values = {**values, **completed}
    own, text = (
        token_ids(each.get(_EOS), _EOS, name) for each, name in ((values, _GENERATION), (older, _CONFIG))
    )
    if text and not set(text) & set(own):
        values |= {key: older[key] for key in (_BOS, _PAD) if older.get(key) is not None}
    return _rules({**values, _EOS: [*own, *text]}, _GENERATION)


def _rules(values: Mapping[str, Any], source: str) -> GenerationConfig:
    eos = token_ids(values.get("eos_token_id"), "eos_token_id", source)
    bos = _optional_id(values, "bos_token_id", source)
    if not eos:
        raise ModelError(f"{source}: expected a token id for 'eos_token_id'")
    forced_eos = token_ids(values.get("forced_eos_token_id"), "forced_eos_token_id", source)
    eos = tuple(dict.fromkeys((*eos, *forced_eos)))
    return GenerationConfig(
        start=integer_in(values, "decoder_start_token_id", source, bos),
        eos=eos,
        bos=bos,
        pad=_optional_id(values, "pad_token_id", source),
        forced_bos=_optional_id(values, "forced_bos_token_id", source),
        forced_eos=forced_eos[0] if forced_eos else None,
        min_length=_min_length(values, source),
        no_repeat_ngram=integer_in(values, "no_repeat_ngram_size", source, 0),
        repetition_penalty=repetition_penalty(values, source),
        bad_words=_bad_words(values, eos, source),
        suppress=token_ids(values.get("suppress_tokens"), "suppress_tokens", source),
        begin_suppress=token_ids(values.get("begin_suppress_tokens"), "begin_suppress_tokens", source),
        length_penalty=_length_penalty(values, source),
        early_stopping=_early_stopping(values, source),
    )


def _length_penalty(values: Mapping[str, Any], source: str) -> float:
    value = values.get("length_penalty")
    if value is None:
        return 1.0
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not -_STEEPEST <= value <= _STEEPEST:
        raise ModelError(f"{source}: expected a number from -{_STEEPEST} to {_STEEPEST} for 'length_penalty'")
    return float(value)


def _early_stopping(values: Mapping[str, Any], source: str) -> bool | str:
    value = values.get("early_stopping")
    if value is None:
        return False
    if isinstance(value, bool):
        return value
    if value == "never":
        return "never"
    raise ModelError(f"{source}: expected true, false or \"never\" for 'early_stopping'")


def _min_length(values: Mapping[str, Any], source: str) -> int:
    """Both of Hugging Face's minimums in the terms of `min_length`, which counts the start token."""
    new = integer_in(values, "min_new_tokens", source, 0)
    return max(integer_in(values, "min_length", source, 0), new + 1 if new else 0)


def _optional_id(values: Mapping[str, Any], key: str, source: str) -> int | None:
    return None if values.get(key) is None else integer_in(values, key, source)


def _bad_words(values: Mapping[str, Any], eos: tuple[int, ...], source: str) -> tuple[tuple[int, ...], ...]:
    """Sequences of ids; a lone end of sequence is no bad word, as in transformers."""
    listed = values.get("bad_words_ids") or []
    if not isinstance(listed, list) or not all(isinstance(word, list) and word for word in listed):
        raise ModelError(f"{source}: expected a list of lists for 'bad_words_ids'")
    words = [token_ids(word, "bad_words_ids", source) for word in listed]
    return tuple(word for word in words if not (len(word) == 1 and word[0] in eos))


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


def minimum_of(sequence: Sequence[int], rules: GenerationConfig, limits: LengthLimits) -> int:
    """The least length of a whole sequence, which counts as `shape_scores` does."""
    if limits.shortest is None:
        return rules.min_length
    return limits.shortest + 1 + _lead(sequence, rules) if limits.shortest else 0


def _next(
    decoding: Decoding, rules: GenerationConfig, limits: LengthLimits, chooser: Chooser, sequence: list[int]
) -> int:
    scores = decoding.step(sequence[-1])
    minimum = minimum_of(sequence, rules, limits)
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


def _lead(sequence: Sequence[int], rules: GenerationConfig) -> int:
    """1 when the answer begins with BOS (forced or chosen), else 0."""
    return int(len(sequence) > 1 and sequence[1] in (rules.bos, rules.forced_bos))
