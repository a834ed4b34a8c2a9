"""A model's generation settings, read from `generation_config.json` and `config.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hailo_common.errors import ModelError
from hailo_common.folder import ModelFolder, section, whole_number
from hailo_common.generation import repetition_penalty, token_ids
from hailo_florence.sampling import Rules

_GENERATION = "generation_config.json"
_CONFIG = "config.json"
_IDS = ("decoder_start_token_id", "bos_token_id", "eos_token_id", "pad_token_id")


def read_rules(folder: ModelFolder) -> Rules:
    """The rules of the model; raises ModelError naming the file for values of the wrong kind.

    As in transformers, `config.json` speaks only where there is no `generation_config.json`, except for the
    token ids, which it may complete.
    """
    config = folder.json(_CONFIG)
    older = {**config, **section(config, "text_config", _CONFIG)}
    values = folder.optional_json(_GENERATION)
    if not values:
        return _rules(older, _CONFIG)
    completed = {key: older[key] for key in _IDS if older.get(key) is not None and values.get(key) is None}
    return _rules({**values, **completed}, _GENERATION)


def _rules(values: Mapping[str, Any], source: str) -> Rules:
    eos = token_ids(values.get("eos_token_id"), "eos_token_id", source)
    bos = _optional_id(values, "bos_token_id", source)
    if not eos:
        raise ModelError(f"{source}: expected a token id for 'eos_token_id'")
    forced_eos = token_ids(values.get("forced_eos_token_id"), "forced_eos_token_id", source)
    return Rules(
        start=whole_number(values, "decoder_start_token_id", source, bos),
        eos=eos,
        bos=bos,
        pad=_optional_id(values, "pad_token_id", source),
        forced_bos=_optional_id(values, "forced_bos_token_id", source),
        forced_eos=forced_eos[0] if forced_eos else None,
        min_length=_min_length(values, source),
        no_repeat_ngram=whole_number(values, "no_repeat_ngram_size", source, 0),
        repetition_penalty=repetition_penalty(values, source),
        bad_words=_bad_words(values, eos, source),
        suppress=token_ids(values.get("suppress_tokens"), "suppress_tokens", source),
        begin_suppress=token_ids(values.get("begin_suppress_tokens"), "begin_suppress_tokens", source),
    )


def _min_length(values: Mapping[str, Any], source: str) -> int:
    """Both of Hugging Face's minimums in the terms of `min_length`, which counts the start token."""
    new = whole_number(values, "min_new_tokens", source, 0)
    return max(whole_number(values, "min_length", source, 0), new + 1 if new else 0)


def _optional_id(values: Mapping[str, Any], key: str, source: str) -> int | None:
    return None if values.get(key) is None else whole_number(values, key, source)


def _bad_words(values: Mapping[str, Any], eos: tuple[int, ...], source: str) -> tuple[tuple[int, ...], ...]:
    """Sequences of ids; a lone end of sequence is no bad word, as in transformers."""
    listed = values.get("bad_words_ids") or []
    if not isinstance(listed, list) or not all(isinstance(word, list) and word for word in listed):
        raise ModelError(f"{source}: expected a list of lists for 'bad_words_ids'")
    words = [token_ids(word, "bad_words_ids", source) for word in listed]
    return tuple(word for word in words if not (len(word) == 1 and word[0] in eos))
