"""What `config.json` says of a Qwen2-VL: sizes and ids that the other files must agree with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hailo_common.errors import ModelError
from hailo_common.inference.model_dir import ModelDir, integer_in, section

_FILE = "config.json"
_MOST_WIDENING = 1000
PUBLISHED = 1280, 4 * 1280, 16
"""`ModelConfig.vision` of every published Qwen2-VL."""


@dataclass(frozen=True)
class ModelConfig:
    """Sizes in numbers, positions in tokens; `head` is (key-value heads, size of a head).

    `vision` is of the vision encoder: (width, width inside its feed-forward part, attention heads).
    """

    positions: int
    width: int
    head: tuple[int, int]
    image_token: int
    patch: int
    temporal: int
    merge: int
    vision: tuple[int, int, int] = PUBLISHED


def read_model_config(folder: ModelDir) -> ModelConfig:
    """Read `config.json`; raises ModelError naming it when it is not one of a Qwen2-VL.

    The language part's settings stand at the top, as Qwen published them, or in `text_config`, as
    transformers 5 writes them.
    """
    config = folder.json(_FILE)
    text = {**config, **(section(config, "text_config", _FILE) if "text_config" in config else {})}
    vision = section(config, "vision_config", _FILE)
    return ModelConfig(
        positions=_size(text, "max_position_embeddings"),
        width=_size(text, "hidden_size"),
        head=_head(text),
        image_token=integer_in(config, "image_token_id", _FILE),
        vision=_vision(vision),
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


def _vision(values: Mapping[str, Any]) -> tuple[int, int, int]:
    """What only tells how much memory an image takes: a file without it is as large as the published ones."""
    width, inner, heads = PUBLISHED
    own = integer_in(values, "embed_dim", _FILE, width)
    ratio = values.get("mlp_ratio")
    widening = inner / width if ratio is None else ratio
    if not isinstance(widening, int | float) or not 0 <= widening <= _MOST_WIDENING:
        raise ModelError(f"{_FILE}: expected a number from 0 to {_MOST_WIDENING} for 'mlp_ratio'")
    return own, int(own * widening), integer_in(values, "num_heads", _FILE, heads)


def _size(values: Mapping[str, Any], key: str) -> int:
    size = integer_in(values, key, _FILE)
    if not size:
        raise ModelError(f"{_FILE}: expected a number above 0 for {key!r}")
    return size
