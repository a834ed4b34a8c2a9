"""The language parts of a Florence-2 as modules with the inputs and outputs of the community's ONNX files."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import Florence2ForConditionalGeneration

MASKED = -1e4  # far below any score, and still a float16


class EmbedTokens(nn.Module):
    """`input_ids` [batch, tokens] to `inputs_embeds` [batch, tokens, width]."""

    def __init__(self, model: Florence2ForConditionalGeneration) -> None:
        super().__init__()
        self.shared = model.model.language_model.shared

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Rows of the embedding table, scaled where the model does so."""
        return nn.functional.embedding(input_ids, self.shared.weight) * self.shared.embed_scale


def split_heads(states: torch.Tensor, heads: int) -> torch.Tensor:
    """[batch, tokens, width] as [batch, heads, tokens, width of a head]."""
    batch, tokens, width = states.shape
    return states.view(batch, tokens, heads, width // heads).transpose(1, 2)


def attend(
    attention: Any, states: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    """Attention of `states` over keys and values [batch, heads, tokens, head], as transformers' eager one."""
    scores = split_heads(attention.q_proj(states), attention.num_heads) @ keys.transpose(2, 3)
    scores = scores * attention.scaling
    if bias is not None:
        scores = scores + bias
    mixed = (torch.softmax(scores, dim=-1) @ values).transpose(1, 2)
    joined: torch.Tensor = attention.out_proj(mixed.reshape(mixed.shape[0], mixed.shape[1], -1))
    return joined


def feed(layer: Any, states: torch.Tensor) -> torch.Tensor:
    """The feed-forward half of a BART layer."""
    inner = layer.fc2(layer.activation_fn(layer.fc1(states)))
    normed: torch.Tensor = layer.final_layer_norm(states + inner)
    return normed


def _hidden_from(mask: torch.Tensor) -> torch.Tensor:
    """0 where the mask [batch, tokens] is set, far below elsewhere: [batch, 1, 1, tokens]."""
    return (1.0 - mask.to(torch.float32))[:, None, None, :] * MASKED


def positions(table: Any, first: int | torch.Tensor, count: int) -> torch.Tensor:
    """Rows of BART's learned positions (which begin at row 2)."""
    rows: torch.Tensor = table.weight[torch.arange(count) + (first + table.offset)]
    return rows


class Encoder(nn.Module):
    """`attention_mask` and `inputs_embeds` to `last_hidden_state`."""

    def __init__(self, model: Florence2ForConditionalGeneration) -> None:
        super().__init__()
        self.body = model.model.language_model.encoder

    def forward(self, attention_mask: torch.Tensor, inputs_embeds: torch.Tensor) -> torch.Tensor:
        """Encoder states [batch, tokens, width]."""
        rows = positions(self.body.embed_positions, 0, inputs_embeds.shape[1])
        states: torch.Tensor = self.body.layernorm_embedding(inputs_embeds + rows)
        bias = _hidden_from(attention_mask)
        for layer in self.body.layers:
            looks = layer.self_attn
            keys, values = (
                split_heads(part(states), looks.num_heads) for part in (looks.k_proj, looks.v_proj)
            )
            states = layer.self_attn_layer_norm(states + attend(looks, states, keys, values, bias))
            states = feed(layer, states)
        return states


class Decoder(nn.Module):
    """The first step without a past, or (`cached`) the next ones with one.

    Inputs: encoder_attention_mask, then encoder_hidden_states (first step only), inputs_embeds, and
    for each layer the past's decoder key and value, encoder key and value.
    Outputs: logits, then per layer the decoder's key and value and (first step only) the encoder's.
    """

    def __init__(self, model: Florence2ForConditionalGeneration, cached: bool) -> None:
        super().__init__()
        self.body = model.model.language_model.decoder
        self.lm_head = model.lm_head
        self.cached = cached

    def forward(
        self, encoder_attention_mask: torch.Tensor, *inputs: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """Scores [batch, tokens, vocabulary] and the keys and values for the next step."""
        if self.cached:
            source, embeds, past = None, inputs[0], inputs[1:]
        else:
            source, embeds, past = inputs[0], inputs[1], ()
        return self._run(encoder_attention_mask, source, embeds, past)

    def _run(
        self,
        mask: torch.Tensor,
        source: torch.Tensor | None,
        embeds: torch.Tensor,
        past: tuple[torch.Tensor, ...],
    ) -> tuple[torch.Tensor, ...]:
        before = past[0].shape[2] if past else 0
        count = embeds.shape[1]
        states = self.body.layernorm_embedding(embeds + positions(self.body.embed_positions, before, count))
        later = torch.arange(before + count)[None, :] > torch.arange(count)[:, None] + before
        causal, bias = later.to(torch.float32) * MASKED, _hidden_from(mask)
        present: list[torch.Tensor] = []
        for index, layer in enumerate(self.body.layers):
            states, kept = _layer(layer, states, source, past[4 * index : 4 * index + 4], (causal, bias))
            present.extend(kept)
        return (self.lm_head(states), *present)


def _layer(
    layer: Any,
    states: torch.Tensor,
    source: torch.Tensor | None,
    past: tuple[torch.Tensor, ...],
    biases: tuple[torch.Tensor, torch.Tensor],
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """One decoder layer; `past` is empty or the four tensors that this layer kept."""
    own, cross = layer.self_attn, layer.encoder_attn
    causal, bias = biases
    keys, values = (split_heads(part(states), own.num_heads) for part in (own.k_proj, own.v_proj))
    if past:
        keys, values = torch.cat([past[0], keys], dim=2), torch.cat([past[1], values], dim=2)
    states = layer.self_attn_layer_norm(states + attend(own, states, keys, values, causal))
    kept = [keys, values]
    if source is None:
        far = past[2], past[3]
    else:
        far = (
            split_heads(cross.k_proj(source), cross.num_heads),
            split_heads(cross.v_proj(source), cross.num_heads),
        )
        kept.extend(far)
    states = layer.encoder_attn_layer_norm(states + attend(cross, states, *far, bias))
    return feed(layer, states), kept
