"""The language parts of a Florence-2 as a chip computes them: every size fixed, nothing kept between calls.

All positions of the encoder are attended to, and the decoder sees its whole window at once; a causal mask
keeps what stands later in the window from what stands before. So row t of the scores depends on the first
t + 1 embeddings only, whatever the rest of the window holds.

A prompt may be shorter than the encoder's room. The rows left over hold zeros: with `masked` the graphs see
that and attend to no such row, so answers are those of the shorter sequence; without it they count as words.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import Florence2ForConditionalGeneration

from training.onnx.onnx_parts import attend, feed, positions, split_heads

HIDDEN = -100.0
"""Added to the score of a later position before softmax: e^-100 is 0 beside any score of a trained model, and
unlike the usual -1e4 or -inf it leaves a quantised sum enough steps for the scores themselves."""


def _empty(rows: torch.Tensor) -> torch.Tensor:
    """(1, n, width) to (1, 1, n): 0 for a row of a word or a picture, `HIDDEN` for one of zeros.

    A row counts when more than a tenth of its numbers are above a thousandth. They are counted, not summed,
    so that neither a row's size nor a chip's coarse numbers matter.
    """
    share = torch.clamp(rows * 1000.0, 0.0, 1.0).mean(dim=-1, keepdim=True)
    return (torch.relu(share * -10.0 + 1.0) * HIDDEN).transpose(1, 2)


class FixedEncoder(nn.Module):
    """`inputs_embeds` (1, length, width) to `last_hidden_state` (1, length, width)."""

    def __init__(
        self, model: Florence2ForConditionalGeneration, length: int, *, masked: bool = False
    ) -> None:
        super().__init__()
        self.masked = masked
        body: Any = model.model.language_model.encoder
        self.layers, self.layernorm_embedding = body.layers, body.layernorm_embedding
        self.register_buffer("positions", positions(body.embed_positions, 0, length).detach().clone())

    def forward(self, inputs_embeds: torch.Tensor) -> torch.Tensor:
        """Encoder states of image features and prompt embeddings."""
        bias = _empty(inputs_embeds) if self.masked else None
        states: torch.Tensor = self.layernorm_embedding(inputs_embeds + self.positions)
        for layer in self.layers:
            looks: Any = layer.self_attn
            keys, values = (
                split_heads(part(states), looks.num_heads) for part in (looks.k_proj, looks.v_proj)
            )
            states = layer.self_attn_layer_norm(states + attend(looks, states, keys, values, bias))
            states = feed(layer, states)
        return states


class FixedDecoder(nn.Module):
    """`encoder_hidden_states` (1, length, width) and `inputs_embeds` (1, window, width) to `logits`."""

    def __init__(
        self,
        model: Florence2ForConditionalGeneration,
        window: int,
        *,
        masked: bool = False,
        cuts: int = 1,
        joined: bool = True,
    ) -> None:
        """The scores are computed in `cuts` products, then joined unless told otherwise."""
        super().__init__()
        self.masked, self.joined = masked, joined
        body: Any = model.model.language_model.decoder
        self.layers, self.layernorm_embedding = body.layers, body.layernorm_embedding
        self.register_buffer("positions", positions(body.embed_positions, 0, window).detach().clone())
        self.register_buffer("mask", torch.full((window, window), HIDDEN).triu(1))
        self.heads = nn.ModuleList(_parts_of(model.lm_head, cuts))

    def forward(
        self, encoder_hidden_states: torch.Tensor, inputs_embeds: torch.Tensor
    ) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """Scores (1, window, vocabulary), or parts of it; row t is what follows the first t + 1 tokens."""
        biases = self.mask, _empty(encoder_hidden_states) if self.masked else None
        states: torch.Tensor = self.layernorm_embedding(inputs_embeds + self.positions)
        for layer in self.layers:
            states = _layer(layer, states, encoder_hidden_states, biases)
        parts = [head(states) for head in self.heads]
        if len(parts) == 1:
            return parts[0]
        return torch.cat(parts, dim=-1) if self.joined else tuple(parts)


def _layer(
    layer: Any, states: torch.Tensor, source: torch.Tensor, biases: tuple[torch.Tensor, torch.Tensor | None]
) -> torch.Tensor:
    causal, empty = biases
    own, cross = layer.self_attn, layer.encoder_attn
    keys, values = (split_heads(part(states), own.num_heads) for part in (own.k_proj, own.v_proj))
    states = layer.self_attn_layer_norm(states + attend(own, states, keys, values, causal))
    keys, values = (split_heads(part(source), cross.num_heads) for part in (cross.k_proj, cross.v_proj))
    states = layer.encoder_attn_layer_norm(states + attend(cross, states, keys, values, empty))
    return feed(layer, states)


def _parts_of(head: Any, count: int) -> list[nn.Linear]:
    """The last matrix cut along the vocabulary, for compilers that refuse it whole."""
    made = []
    for rows in torch.chunk(head.weight.detach(), count, dim=0):
        part = nn.Linear(rows.shape[1], rows.shape[0], bias=False)
        part.weight = nn.Parameter(rows.clone(), requires_grad=False)
        made.append(part)
    return made
