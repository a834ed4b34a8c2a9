"""Traces the parts of a Qwen2-VL to ONNX graphs with the community's tensor names."""

from __future__ import annotations

import onnx
import torch
from transformers import Qwen2VLForConditionalGeneration

from training.onnx.onnx_trace import Axes, export_part, kept_tensor
from training.onnx.qwen_onnx_text import Decoder, EmbedTokens
from training.onnx.qwen_onnx_vision import VisionEncoder

LANGUAGE, VISUAL = "model.language_model", "model.visual"


def _export_vision(model: Qwen2VLForConditionalGeneration) -> onnx.ModelProto:
    part = VisionEncoder(model)
    side = 2 * model.config.vision_config.spatial_merge_size
    grid = torch.tensor([[1, side, 2 * side], [1, side, side]])
    return export_part(
        part,
        (torch.randn(int(grid.prod(1).sum()), part.patch.in_features), grid),
        ["pixel_values", "grid_thw"],
        ["image_features"],
        {"pixel_values": {0: "patches"}, "grid_thw": {0: "images"}, "image_features": {0: "tokens"}},
        prefix={"visual": VISUAL, "patch": f"{VISUAL}.patch_embed.proj"},
    )


def _export_embedding(model: Qwen2VLForConditionalGeneration) -> onnx.ModelProto:
    tokens = {0: "batch", 1: "sequence"}
    return export_part(
        EmbedTokens(model),
        (torch.ones(2, 9, dtype=torch.long),),
        ["input_ids"],
        ["inputs_embeds"],
        {"input_ids": tokens, "inputs_embeds": tokens},
        prefix={"embed_tokens": f"{LANGUAGE}.embed_tokens"},
    )


def _export_decoder(model: Qwen2VLForConditionalGeneration) -> onnx.ModelProto:
    text = model.config.text_config
    heads, width = text.num_key_value_heads, text.hidden_size // text.num_attention_heads
    ends = [f"{layer}.{kind}" for layer in range(text.num_hidden_layers) for kind in ("key", "value")]
    past, present = [f"past_key_values.{end}" for end in ends], [f"present.{end}" for end in ends]
    tokens = {0: "batch", 1: "sequence"}
    axes: Axes = {
        "inputs_embeds": tokens,
        "attention_mask": {0: "batch", 1: "total_sequence"},
        "position_ids": {1: "batch", 2: "sequence"},
        "logits": tokens,
        **{name: {0: "batch", 2: "past_sequence"} for name in past},
        **{name: {0: "batch", 2: "total_sequence"} for name in present},
    }
    part = export_part(
        Decoder(model),
        (
            torch.randn(2, 5, text.hidden_size),
            torch.ones(2, 9, dtype=torch.long),
            torch.arange(4, 9).expand(3, 2, 5),
            *(torch.randn(2, heads, 4, width) for _ in past),
        ),
        ["inputs_embeds", "attention_mask", "position_ids", *past],
        ["logits", *present],
        axes,
        prefix={"body": LANGUAGE, "lm_head": "lm_head"},
    )
    for output in part.graph.output:
        if output.name.startswith("present."):
            output.CopyFrom(kept_tensor(output.name, axes[output.name], heads, width))
    return part


def export_language(model: Qwen2VLForConditionalGeneration) -> dict[str, onnx.ModelProto]:
    """The two graphs of the language part by file name."""
    if model.config.text_config.use_sliding_window:
        raise ValueError("a sliding window is not exported")
    return {"embed_tokens": _export_embedding(model), "decoder_model_merged": _export_decoder(model)}


def export_parts(model: Qwen2VLForConditionalGeneration) -> dict[str, onnx.ModelProto]:
    """The three graphs by file name."""
    return {"vision_encoder": _export_vision(model), **export_language(model)}
