"""Architecture of the chat demo model, a real but very small Qwen2-VL, and fast ways to train it.

transformers runs the vision attention picture by picture; `see` takes a batch of pictures of one grid at
once. `tests/oracle` compares what is exported with transformers' own forward.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
)
from transformers.masking_utils import eager_mask

from training.onnx.qwen_files import IMAGE_MEAN, IMAGE_STD

PATCH, MERGE = 8, 2
FACTOR = PATCH * MERGE
MIN_PIXELS, MAX_PIXELS = 112 * 112, 128 * 128
CONTEXT = 2048
MEAN = np.array(IMAGE_MEAN, dtype=np.float32)
STD = np.array(IMAGE_STD, dtype=np.float32)


def demo_config(vocabulary: int, ids: dict[str, int]) -> Qwen2VLConfig:
    """The demo model: up to 64 image tokens a picture, about 2.1 million parameters.

    `ids` maps special tokens to their numbers.
    """
    vision = {
        "depth": 4,
        "embed_dim": 128,
        "num_heads": 4,
        "mlp_ratio": 4,
        "patch_size": PATCH,
        "spatial_merge_size": MERGE,
    }
    return small_config(
        vocabulary, ids, vision=vision, width=128, ffn=384, layers=4, heads=4, positions=CONTEXT
    )


def small_config(
    vocabulary: int,
    ids: dict[str, int],
    *,
    vision: dict[str, Any],
    width: int,
    ffn: int,
    layers: int,
    heads: int,
    positions: int,
    key_heads: int = 2,
    theta: float = 10_000.0,
) -> Qwen2VLConfig:
    """A Qwen2-VL whose heads have 32 numbers, and two frames in a patch.

    `ids` maps special tokens to their numbers; `vision` has the rest of the vision part's settings; a large
    `theta` (that of RoPE) leaves more pairs of numbers that hardly turn.
    """
    rope: dict[str, Any] = {"rope_type": "default", "mrope_section": [4, 6, 6], "rope_theta": theta}
    text = {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": ffn,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": key_heads,
        "max_position_embeddings": positions,
        "rms_norm_eps": 1e-6,
        "rope_parameters": rope,
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|im_end|>"],
        "pad_token_id": ids["<|endoftext|>"],
        "tie_word_embeddings": True,
    }
    return Qwen2VLConfig(
        text_config=text,
        vision_config={**vision, "hidden_size": width, "temporal_patch_size": 2},
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )


def build(config: Qwen2VLConfig) -> Qwen2VLForConditionalGeneration:
    """A model with the library's own initial weights, in float32, with `attend` in the language part."""
    model = Qwen2VLForConditionalGeneration._from_config(config, attn_implementation="eager")
    model.model.language_model.config._attn_implementation = "lean"
    return model


@torch.no_grad()
def initialise(model: Qwen2VLForConditionalGeneration) -> None:
    """Overwrite the library's initial weights: its std of 0.02 never learns to look."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and name != "lm_head":
            nn.init.xavier_uniform_(module.weight)
        elif isinstance(module, nn.Conv3d):
            fan = module.weight[0].numel() // 2  # both frames show the same picture
            nn.init.normal_(module.weight, std=fan**-0.5 / 2**0.5)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.09)


def patches_of(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Patches in the order of the processor: float32 [pictures, patches, 3 * 8 * 8] of uint8 [.., h, w, 3].

    Four patches that become one image token stand side by side; the second frame, a copy, is left out.
    """
    count, height, width, _ = images.shape
    scaled = (images.astype(np.float32) / 255 - MEAN) / STD
    parts = scaled.reshape(count, height // FACTOR, MERGE, PATCH, width // FACTOR, MERGE, PATCH, 3)
    ordered = parts.transpose(0, 1, 4, 2, 5, 7, 3, 6)
    return np.ascontiguousarray(ordered, dtype=np.float32).reshape(count, -1, 3 * PATCH * PATCH)


def _angles(
    model: Qwen2VLForConditionalGeneration, grid: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    rows, columns = torch.meshgrid(
        torch.arange(grid[0] * MERGE), torch.arange(grid[1] * MERGE), indexing="ij"
    )

    def ordered(places: torch.Tensor) -> torch.Tensor:
        return places.view(grid[0], MERGE, grid[1], MERGE).permute(0, 2, 1, 3).reshape(-1)

    turns = model.model.visual.rotary_pos_emb.inv_freq
    angles = torch.cat([ordered(rows)[:, None] * turns, ordered(columns)[:, None] * turns], dim=-1)
    return torch.cat([angles, angles], -1).cos(), torch.cat([angles, angles], -1).sin()


def _turned(states: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    first, second = states.chunk(2, dim=-1)
    return states * cosine + torch.cat([-second, first], dim=-1) * sine


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, scaling: float
) -> torch.Tensor:
    """Attention [batch, heads, tokens, size] with as few passes over the scores as possible.

    The small query is scaled, not the scores, and they stay in the precision of the values: autocast would
    widen them for the softmax, which took a quarter of a training step.
    """
    with torch.autocast("cpu", enabled=False):
        scores = (query * scaling).to(value.dtype) @ key.to(value.dtype).transpose(2, 3)
        if mask is not None:
            scores = scores + mask.to(scores.dtype)
        return scores.softmax(-1) @ value


def _attend_causally(  # noqa: PLR0917 - transformers calls it so
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    repeats = module.num_key_value_groups
    key, value = (part.repeat_interleave(repeats, dim=1) for part in (key, value))
    return attend(query, key, value, attention_mask, scaling).transpose(1, 2).contiguous(), None


AttentionInterface.register("lean", _attend_causally)
AttentionMaskInterface.register("lean", eager_mask)


def see(model: Qwen2VLForConditionalGeneration, patches: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """Image tokens of pictures of one grid: float32 [pictures, cells, width] of [pictures, patches, 192]."""
    visual = model.model.visual
    weight = visual.patch_embed.proj.weight.sum(dim=2).flatten(1)
    states = functional.linear(patches, weight)
    cosine, sine = (part.to(states.dtype) for part in _angles(model, grid))
    for block in visual.blocks:
        normed = block.norm1(states)
        heads = block.attn.num_heads
        query, key, value = (
            block.attn.qkv(normed).unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        )
        query, key = _turned(query, cosine, sine), _turned(key, cosine, sine)
        mixed = attend(query, key, value, None, block.attn.scaling)
        states = states + block.attn.proj(mixed.transpose(1, 2).flatten(2))
        states = states + block.mlp(block.norm2(states))
    merged = visual.merger(states.flatten(0, 1))
    return merged.view(len(patches), grid[0] * grid[1], -1)
