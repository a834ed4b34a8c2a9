"""What `config.json` says of a Qwen2-VL: sizes and ids that the other files must agree with.

A model's generation settings, read from `generation_config.json` and `config.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hailo_common.errors import ModelError
from hailo_common.inference.hf_config import repetition_penalty, token_ids
from hailo_common.inference.model_dir import ModelDir, integer_in, section

_FILE = "config.json"
_TYPE = "qwen2_vl"


@dataclass(frozen=True)
class ModelConfig:
    """Sizes in numbers, positions in tokens; `head` is (key-value heads, size of a head)."""

    positions: int
    width: int
    head: tuple[int, int]
    image_token: int
    patch: int
    temporal: int
    merge: int


def read_model_config(folder: ModelDir) -> ModelConfig:
    """Read `config.json`; raises ModelError naming it when it is not one of a Qwen2-VL.

    The language part's settings stand at the top, as Qwen published them, or in `text_config`, as
    transformers 5 writes them.
    """
    config = folder.json(_FILE)
    if config.get("model_type") != _TYPE:
        raise ModelError(f"{_FILE}: expected {_TYPE!r} as 'model_type'")
    text = {**config, **(section(config, "text_config", _FILE) if "text_config" in config else {})}
    vision = section(config, "vision_config", _FILE)
    return ModelConfig(
        positions=_size(text, "max_position_embeddings"),
        width=_size(text, "hidden_size"),
        head=_head(text),
        image_token=integer_in(config, "image_token_id", _FILE),
        patch=_size(vision, "patch_size"),
        temporal=_size(vision, "temporal_patch_size"),
        merge=_size(vision, "spatial_merge_size"),
    )


def _head(text: Mapping[str, Any]) -> tuple[int, int]:
    heads, width = _size(text, "num_attention_heads"), _size(text, "hidden_size")
    shared = integer_in(text, "num_key_value_heads", _FILE, heads)
    if width % heads or not shared:
        raise ModelError(f"{_FILE}: expected a hidden_size that num_attention_heads divides")
    return shared, width // heads


def _size(values: Mapping[str, Any], key: str) -> int:
    size = integer_in(values, key, _FILE)
    if not size:
        raise ModelError(f"{_FILE}: expected a number above 0 for {key!r}")
    return size


_GENERATION = "generation_config.json"
_CONFIG = "config.json"


@dataclass(frozen=True)
class GenerationConfig:
    """`eos` are the tokens that end an answer; `repetition_penalty` holds where a request names none."""

    eos: tuple[int, ...]
    repetition_penalty: float = 1.0


def read_generation_config(folder: ModelDir) -> GenerationConfig:
    """The rules of the model; raises ModelError naming the file for values of the wrong kind.

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
