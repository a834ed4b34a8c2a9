"""The vision part of a Qwen2-VL for export: the whole work on the grid in tensors.

transformers' forward loops over pictures in Python, which a tracer would freeze.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import Qwen2VLForConditionalGeneration

from training.onnx.onnx_parts import MASKED
from training.onnx.qwen_onnx_shapes import angles, turned


def _divided(counts: torch.Tensor, by: torch.Tensor | int) -> torch.Tensor:
    """Whole quotient of integers that are not negative."""
    return torch.div(counts, by, rounding_mode="trunc")


def patch_places(
    patches: torch.Tensor, grid_thw: torch.Tensor, merge: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Row and column of every patch in its picture [patches, 2], and the number of its frame [patches].

    Patches come picture by picture, frame by frame, and in a frame one `merge` x `merge` block after another.
    """
    frames, area = grid_thw[:, 0], grid_thw[:, 1] * grid_thw[:, 2]
    ends = (frames * area).cumsum(0)
    index = torch.arange(patches.shape[0])
    image = (index[:, None] >= ends[None, :]).to(torch.int64).sum(1)
    own = area[image]
    place = index - (ends - frames * area)[image]
    frame = (frames.cumsum(0) - frames)[image] + _divided(place, own)
    inside = place % own
    block, within = _divided(inside, merge**2), inside % merge**2
    blocks_across = _divided(grid_thw[:, 2], merge)[image]
    rows = _divided(block, blocks_across) * merge + _divided(within, merge)
    columns = block % blocks_across * merge + within % merge
    return torch.stack([rows, columns], dim=1), frame


def _attend(
    attention: Any, states: torch.Tensor, turn: tuple[torch.Tensor, torch.Tensor], bias: torch.Tensor
) -> torch.Tensor:
    """Attention of every patch over those that `bias` [patches, patches] lets it see, [patches, width]."""
    heads, width = attention.num_heads, attention.head_dim
    parts = attention.qkv(states).view(-1, 3, heads, width)
    both = turned(parts[:, :2], width, *turn)
    queries, keys, values = (
        both[:, 0].transpose(0, 1),
        both[:, 1].permute(1, 2, 0),
        parts[:, 2].transpose(0, 1),
    )
    scores = (queries @ keys) * attention.scaling + bias
    mixed = (torch.softmax(scores, dim=-1) @ values).transpose(0, 1).reshape(-1, heads * width)
    joined: torch.Tensor = attention.proj(mixed)
    return joined


class VisionEncoder(nn.Module):
    """`pixel_values` [patches, values of a patch] and `grid_thw` [pictures, 3] to `image_features`.

    The features [tokens, width] of all pictures follow each other; `grid_thw` counts patches, not tokens.
    """

    def __init__(self, model: Qwen2VLForConditionalGeneration) -> None:
        super().__init__()
        self.visual = model.model.visual
        convolution = self.visual.patch_embed.proj
        self.patch = nn.Linear(convolution.weight[0].numel(), convolution.out_channels, bias=False)
        self.patch.weight = nn.Parameter(convolution.weight.detach().flatten(1))

    def forward(self, pixel_values: torch.Tensor, grid_thw: torch.Tensor) -> torch.Tensor:
        """Image tokens in the width of the language part."""
        rotary = self.visual.rotary_pos_emb
        places, frame = patch_places(pixel_values, grid_thw, self.visual.spatial_merge_size)
        turns = (places[:, :, None].to(torch.float32) * rotary.inv_freq).flatten(1)
        cosines, sines = angles(turns[:, None, None, :], rotary.attention_scaling)
        bias = (frame[:, None] != frame[None, :]).to(torch.float32) * MASKED
        states = self.patch(pixel_values)
        for block in self.visual.blocks:
            states = states + _attend(block.attn, block.norm1(states), (cosines, sines), bias)
            states = states + block.mlp(block.norm2(states))
        merged: torch.Tensor = self.visual.merger(states)
        return merged
