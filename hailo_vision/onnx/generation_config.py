"""A model's generation settings, read from `generation_config.json` and `config.json`."""

from __future__ import annotations

from dataclasses import dataclass

from hailo_common.errors import ModelError
from hailo_common.inference.hf_config import repetition_penalty, token_ids
from hailo_common.inference.model_dir import ModelDir

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
