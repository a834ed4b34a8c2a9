"""The two GGUF files of a Qwen2-VL: what stands in their headers, and tensors one after the other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

Tensor = tuple[str, NDArray[Any], "gguf.GGMLQuantizationType | None"]
"""Name, value or raw blocks, and the kind of blocks; None for plain numbers."""
MODEL, PROJECTOR = "model.gguf", "mmproj.gguf"
_NORMAL, _CONTROL, _USER = gguf.TokenType.NORMAL, gguf.TokenType.CONTROL, gguf.TokenType.USER_DEFINED


def write_model(
    path: Path,
    config: Mapping[str, Any],
    texts: Path,
    tensors: Iterable[Tensor],
    *,
    filler: int = gguf.TokenType.UNUSED,
) -> None:
    """Write the language model; `texts` is the folder of `tokenizer.json` and `chat_template.json`.

    Ids that the tokenizer does not know become tokens of the type `filler`.
    """
    writer = gguf.GGUFWriter(path, "qwen2vl")
    text = {**config, **config.get("text_config", {})}
    writer.add_name(str(config.get("_name_or_path") or texts.resolve().name))
    rope = text.get("rope_parameters") or text.get("rope_scaling") or {}
    heads = text["num_attention_heads"]
    writer.add_context_length(text["max_position_embeddings"])
    writer.add_embedding_length(text["hidden_size"])
    writer.add_block_count(text["num_hidden_layers"])
    writer.add_feed_forward_length(text["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(text["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(text["rms_norm_eps"])
    writer.add_rope_freq_base(float(rope.get("rope_theta") or text["rope_theta"]))
    writer.add_rope_dimension_sections([*rope["mrope_section"], 0])
    _add_tokens(writer, text["vocab_size"], texts, text["eos_token_id"], filler)
    writer.add_chat_template(
        json.loads((texts / "chat_template.json").read_text(encoding="utf-8"))["chat_template"]
    )
    _write(writer, tensors)


def _add_tokens(writer: gguf.GGUFWriter, size: int, texts: Path, end: int, filler: int) -> None:
    tokenizer = json.loads((texts / "tokenizer.json").read_text(encoding="utf-8"))
    listed: list[tuple[str, int]] = [(f"[PAD{number}]", filler) for number in range(size)]
    for text, number in tokenizer["model"]["vocab"].items():
        listed[number] = text, _NORMAL
    for added in tokenizer["added_tokens"]:
        listed[added["id"]] = added["content"], _CONTROL if added["special"] else _USER
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([text for text, _ in listed])
    writer.add_token_types([kind for _, kind in listed])
    merges = tokenizer["model"]["merges"]
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    writer.add_eos_token_id(end)
    writer.add_add_bos_token(False)


def write_projector(
    path: Path, config: Mapping[str, Any], processor: Mapping[str, Any], tensors: Iterable[Tensor]
) -> None:
    """Write the vision encoder and its projection into the language model's space."""
    writer = gguf.GGUFWriter(path, "clip")
    vision = config["vision_config"]
    width = vision["embed_dim"]
    writer.add_clip_has_vision_encoder(True)
    writer.add_clip_projector_type("qwen2vl_merger")
    writer.add_vision_image_size(vision["patch_size"] * vision["spatial_merge_size"] * 20)
    writer.add_vision_patch_size(vision["patch_size"])
    writer.add_vision_embedding_length(width)
    writer.add_vision_feed_forward_length(int(width * vision["mlp_ratio"]))
    writer.add_vision_projection_dim(vision["hidden_size"])
    writer.add_vision_block_count(vision["depth"])
    writer.add_vision_head_count(vision["num_heads"])
    writer.add_vision_attention_layernorm_eps(1e-6)
    writer.add_vision_min_pixels(processor["min_pixels"])
    writer.add_vision_max_pixels(processor["max_pixels"])
    writer.add_vision_image_mean(processor["image_mean"])
    writer.add_vision_image_std(processor["image_std"])
    _write(writer, tensors)


def _write(writer: gguf.GGUFWriter, tensors: Iterable[Tensor]) -> None:
    for name, value, kind in tensors:
        writer.add_tensor(name, value, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def plain(name: str, value: NDArray[np.float32]) -> Tensor:
    """A tensor as it is, in float32; patches as llama.cpp's convolution wants them."""
    return name, value.astype(np.float16 if name.startswith("v.patch_embd") else np.float32), None


def quantised(wanted: str) -> Callable[[str, NDArray[np.float32]], Tensor]:
    """A function that turns the matrices among tensors into blocks such as `Q8_0`, where they fit."""
    kind = gguf.GGMLQuantizationType[wanted]
    block = gguf.GGML_QUANT_SIZES[kind][0]

    def made(name: str, value: NDArray[np.float32]) -> Tensor:
        if value.ndim != 2 or value.shape[1] % block:
            return plain(name, value)
        return name, gguf.quants.quantize(value.astype(np.float32), kind), kind

    return made
