"""Losses: what image tokens show, and what the language part says."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from transformers import Florence2ForConditionalGeneration

from training.florence.batches import Texts, decoder_inputs
from training.florence.model import BOS, PAD
from training.scenes.palette import COLOURS
from training.scenes.scenes import SHAPES


class CellHead(nn.Module):
    """The throw-away head of the vision stage: shape, colour, centre, object, offset, outline."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, len(SHAPES) + len(COLOURS) + 4 + 64)

    def forward(self, tokens: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Parts of the prediction, float32 [pictures, cells, 4 | 8 | 2 | 2 | 64]."""
        parts = self.linear(tokens).float().split([len(SHAPES), len(COLOURS), 2, 2, 64], dim=-1)
        return tuple(parts)


def vision_loss(
    head: CellHead, features: torch.Tensor, labels: torch.Tensor, *, by_object: bool = False
) -> tuple[torch.Tensor, float, float]:
    """Loss of the vision stage, with the shares of object cells whose shape and colour are right.

    `features` are those of the cells alone, float32 [pictures, cells, width].
    Every cell of an object counts alike, or (`by_object`) every object, which favours the small ones.
    """
    shapes, colours, flags, offsets, covers = head(features)
    on = labels[..., 0] >= 0
    shape, colour = labels[..., 0][on].long(), labels[..., 1][on].long()
    named = functional.cross_entropy(shapes[on], shape, reduction="none")
    named = named + 0.7 * functional.cross_entropy(colours[on], colour, reduction="none")
    share = labels[..., 5][on] if by_object else torch.ones_like(named)
    loss = (named * share).sum() / share.sum()
    loss = loss + _binary(flags[..., 0], labels[..., 2], 5.0) + 0.5 * _binary(flags[..., 1], on.float(), 1.0)
    loss = loss + 0.6 * functional.smooth_l1_loss(offsets[on], labels[..., 3:5][on])
    loss = loss + 2.0 * _binary(covers, labels[..., 6:], 2.0)
    right = (shapes[on].argmax(-1) == shape).float().mean(), (colours[on].argmax(-1) == colour).float().mean()
    return loss, float(right[0]), float(right[1])


def _binary(scores: torch.Tensor, truth: torch.Tensor, weight: float) -> torch.Tensor:
    """Binary cross-entropy; `weight` is that of the ones."""
    return functional.binary_cross_entropy_with_logits(scores, truth, pos_weight=torch.tensor(weight))


def encode(
    model: Florence2ForConditionalGeneration, features: torch.Tensor, prompts: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Encoder states and their mask for one row of image features and one prompt each."""
    words = model.get_input_embeddings()(prompts)
    inputs = torch.cat([features.to(words.dtype), words], dim=1)
    mask = torch.cat([torch.ones(features.shape[:2], dtype=torch.long), (prompts != PAD).long()], dim=1)
    states = model.model.language_model.encoder(inputs_embeds=inputs, attention_mask=mask).last_hidden_state
    return states, mask


def language_loss(
    model: Florence2ForConditionalGeneration, features: torch.Tensor, texts: Texts
) -> torch.Tensor:
    """Weighted mean of the cross-entropy of all target tokens but the forced `<s>`."""
    repeats = len(texts.prompts) // len(features)
    states, mask = encode(model, features.repeat_interleave(repeats, dim=0), texts.prompts)
    said = model.model.language_model.decoder(
        input_ids=decoder_inputs(texts.targets),
        encoder_hidden_states=states,
        encoder_attention_mask=mask,
        use_cache=False,
    ).last_hidden_state
    logits = model.lm_head(said).float()
    losses = functional.cross_entropy(logits.transpose(1, 2), texts.targets, reduction="none")
    counted = ((texts.targets != PAD) & (texts.targets != BOS)).float() * texts.weights[:, None]
    return (losses * counted).sum() / counted.sum()


@torch.no_grad()
def say(
    model: Florence2ForConditionalGeneration, features: torch.Tensor, prompts: torch.Tensor, most: int = 20
) -> torch.Tensor:
    """Greedy answers as int64 [texts, tokens], start tokens included."""
    states, mask = encode(model, features, prompts)
    tokens = torch.tensor([[2, BOS]]).repeat(len(prompts), 1)
    ended = torch.zeros(len(prompts), dtype=torch.bool)
    while tokens.shape[1] < most and not bool(ended.all()):
        hidden = model.model.language_model.decoder(
            input_ids=tokens, encoder_hidden_states=states, encoder_attention_mask=mask, use_cache=False
        ).last_hidden_state
        chosen = model.lm_head(hidden[:, -1]).argmax(-1).masked_fill(ended, PAD)
        tokens = torch.cat([tokens, chosen[:, None]], dim=1)
        ended |= chosen == 2
    return tokens
