"""The vision part for export: transformers' own layers, with the picture's size fixed and the batch free.

Traced as it stands, transformers' forward computes every size in the graph: four times as many nodes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import Florence2ForConditionalGeneration


def _tokens(grid: torch.Tensor) -> torch.Tensor:
    """[batch, width, rows, columns] as [batch, rows * columns, width]."""
    return grid.flatten(2).transpose(1, 2)


def _grid(tokens: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """The way back from `_tokens`."""
    return tokens.transpose(1, 2).reshape(-1, tokens.shape[2], rows, columns)


def _mix(queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scale: float) -> torch.Tensor:
    return torch.softmax((queries @ keys.transpose(2, 3)) * scale, dim=-1) @ values


def _window_attention(attention: Any, tokens: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Attention inside windows of the grid, which is padded to whole windows with zeros."""
    side, width = attention.window_size, attention.dim
    down, across = -rows % side, -columns % side
    high, wide = (rows + down) // side, (columns + across) // side
    grid = functional.pad(tokens.view(-1, rows, columns, width), (0, 0, 0, across, 0, down))
    windows = (
        grid.view(-1, high, side, wide, side, width).permute(0, 1, 3, 2, 4, 5).reshape(-1, side**2, width)
    )
    heads = attention.num_heads
    parts = attention.qkv(windows).view(-1, side**2, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
    mixed = _mix(parts[0], parts[1], parts[2], attention.scale).transpose(1, 2).reshape(-1, side**2, width)
    mixed = attention.proj(mixed).view(-1, high, wide, side, side, width).permute(0, 1, 3, 2, 4, 5)
    joined = mixed.reshape(-1, rows + down, columns + across, width)[:, :rows, :columns]
    return joined.reshape(-1, rows * columns, width)


def _channel_attention(attention: Any, tokens: torch.Tensor, count: int) -> torch.Tensor:
    """Attention between channels of a group, over all `count` tokens."""
    groups, width = attention.groups, attention.dim
    parts = attention.qkv(tokens).view(-1, count, 3, groups, width // groups).permute(2, 0, 3, 4, 1)
    mixed = _mix(parts[0], parts[1], parts[2], count**-0.5)
    joined: torch.Tensor = attention.proj(mixed.permute(0, 3, 1, 2).reshape(-1, count, width))
    return joined


def _block(block: Any, attended: Any, grid: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Depthwise convolution and attention, depthwise convolution and feed-forward."""
    tokens = _tokens(block.conv1(grid) + grid)
    grid = _grid(tokens + attended(block.norm1(tokens)), rows, columns)
    tokens = _tokens(block.conv2(grid) + grid)
    return _grid(tokens + block.ffn(block.norm2(tokens)), rows, columns)


def _embed(conv: Any, grid: torch.Tensor) -> torch.Tensor:
    """The convolution between two stages, with its norm before or after."""
    if conv.pre_norm:
        made: torch.Tensor = conv.conv(conv.norm(grid.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))
    else:
        made = conv.norm(conv.conv(grid).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    return made


class VisionEncoder(nn.Module):
    """`pixel_values` [batch, 3, side, side] to `image_features` [batch, tokens, width]."""

    def __init__(self, model: Florence2ForConditionalGeneration, side: int) -> None:
        super().__init__()
        self.vision_tower = model.model.vision_tower
        self.multi_modal_projector = model.model.multi_modal_projector
        self.side = side

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Image tokens as the language encoder takes them."""
        grid, side = pixel_values, self.side
        for conv, blocks in zip(self.vision_tower.convs, self.vision_tower.blocks, strict=True):
            side = (side + 2 * conv.padding - conv.patch_size) // conv.stride + 1
            grid = _embed(conv, grid)
            for block in blocks:
                grid = self._both(block, grid, side)
        return self._projected(grid, side)

    @staticmethod
    def _both(block: Any, grid: torch.Tensor, side: int) -> torch.Tensor:
        window, channel = block.spatial_block, block.channel_block
        grid = _block(
            window, lambda tokens: _window_attention(window.window_attn, tokens, side, side), grid, side, side
        )
        return _block(
            channel,
            lambda tokens: _channel_attention(channel.channel_attn, tokens, side**2),
            grid,
            side,
            side,
        )

    def _projected(self, grid: torch.Tensor, side: int) -> torch.Tensor:
        """The mean token and all tokens, with their places, in the width of the language part."""
        projector: Any = self.multi_modal_projector
        table = projector.image_position_embed
        across = table.column_embeddings.weight[:side].unsqueeze(0).expand(side, -1, -1)
        down = table.row_embeddings.weight[:side].unsqueeze(1).expand(-1, side, -1)
        places = torch.cat([across, down], dim=-1).permute(2, 0, 1).unsqueeze(0)
        tokens = _tokens(grid + places) + projector.visual_temporal_embed.pos_idx_to_embed[:1].unsqueeze(0)
        both = torch.cat([tokens.mean(dim=1, keepdim=True), tokens], dim=1)
        features: torch.Tensor = projector.image_proj_norm(projector.image_projection(both))
        return features
