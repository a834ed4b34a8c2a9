"""The language parts of a Qwen2-VL as modules with the inputs and outputs of the community's ONNX files."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import Qwen2VLForConditionalGeneration

from training.onnx.onnx_parts import MASKED
from training.onnx.qwen_onnx_shapes import angles, reshape, turned

Angles = tuple[torch.Tensor, torch.Tensor]


class EmbedTokens(nn.Module):
    """`input_ids` [batch, tokens] to `inputs_embeds` [batch, tokens, width]."""

    def __init__(self, model: Qwen2VLForConditionalGeneration) -> None:
        super().__init__()
        self.embed_tokens = model.model.language_model.embed_tokens

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Rows of the embedding table."""
        return nn.functional.embedding(input_ids, self.embed_tokens.weight)


def _attend(
    attention: Any, states: torch.Tensor, past: tuple[torch.Tensor, ...], turn: Angles, bias: torch.Tensor
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Attention over the past and the tokens themselves; the keys and values [batch, kv heads, total, head].

    Queries that share a key head stand below each other as rows of one matrix, so keys are never repeated.
    """
    groups, width = attention.num_key_value_heads, attention.head_dim
    shared = attention.num_key_value_groups
    queries = turned(reshape(attention.q_proj(states), 0, 0, -1, width), width, *turn)
    queries = reshape(queries, 0, 0, groups, shared, -1).permute(0, 2, 3, 1, 4)
    keys = turned(reshape(attention.k_proj(states), 0, 0, -1, width), width, *turn).transpose(1, 2)
    values = reshape(attention.v_proj(states), 0, 0, -1, width).transpose(1, 2)
    keys, values = torch.cat([past[0], keys], dim=2), torch.cat([past[1], values], dim=2)
    scores = (reshape(queries, 0, 0, -1, width) @ keys.transpose(2, 3)) * attention.scaling
    mixed = reshape(torch.softmax(scores + bias, dim=-1) @ values, 0, 0, shared, -1, width)
    joined = attention.o_proj(reshape(mixed.permute(0, 3, 1, 2, 4), 0, 0, -1))
    return joined, [keys, values]


class Decoder(nn.Module):
    """Scores of every token, over a past that may have no tokens.

    Inputs: inputs_embeds [batch, tokens, width], attention_mask [batch, past + tokens], position_ids
    [3, batch, tokens] (time, row, column), and for each layer the past's key and value.
    Outputs: logits [batch, tokens, vocabulary], and for each layer the key and value with the new tokens.
    """

    def __init__(self, model: Qwen2VLForConditionalGeneration) -> None:
        super().__init__()
        self.body = model.model.language_model
        self.lm_head = model.lm_head
        rotary = self.body.rotary_emb
        sections = rotary.mrope_section
        self.axis_of = [axis % 3 for axis, count in enumerate(sections) for _ in range(count)]
        self.scale: float = rotary.attention_scaling

    def forward(
        self,
        inputs_embeds: torch.Tensor,
        attention_mask: torch.Tensor,
        position_ids: torch.Tensor,
        *past: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """Scores and the keys and values for the next step."""
        states, turn = inputs_embeds, self._angles(position_ids)
        shared = self.body.layers[0].self_attn.num_key_value_groups
        bias = torch.cat([_bias(inputs_embeds, attention_mask)] * shared, dim=2)
        present: list[torch.Tensor] = []
        for index, layer in enumerate(self.body.layers):
            mixed, kept = _attend(
                layer.self_attn, layer.input_layernorm(states), past[2 * index : 2 * index + 2], turn, bias
            )
            states = states + mixed
            states = states + layer.mlp(layer.post_attention_layernorm(states))
            present.extend(kept)
        return (self.lm_head(self.body.norm(states)), *present)

    def _angles(self, position_ids: torch.Tensor) -> Angles:
        """Cosines and sines [batch, tokens, 1, head]: every frequency turns by the axis of its section."""
        places = position_ids[torch.tensor(self.axis_of)].permute(1, 2, 0).to(torch.float32)
        return angles((places * self.body.rotary_emb.inv_freq).unsqueeze(2), self.scale)


def _bias(inputs_embeds: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """0 where a token may look, far below where not: [batch, 1, tokens, past + tokens]."""
    total = mask.shape[1]
    every = torch.arange(total)
    own = every[total - inputs_embeds.shape[1] :]
    hidden = (every[None, :] > own[:, None])[None] | (mask[:, None, :] == 0)
    return (hidden.to(torch.float32) * MASKED)[:, None]
