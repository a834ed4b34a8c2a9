"""The everyday model: BART of a Florence-2 behind the encoder of things, and how it reads and speaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import nn
from transformers import Florence2Config, Florence2ForConditionalGeneration

from training.florence.batches import decoder_inputs
from training.florence.model import BOS, EOS, PAD, build, initialise, text_config, vision_config
from training.onnx.onnx_parts import feed, split_heads
from training.things.encoder import GROUPS, TOKENS, ThingsEncoder, kept_tokens
from training.things.places import STEPS
from training.voice.beginnings import (
    STD,
    alike_attention,
    alike_words,
    marking_head,
    straight,
    tables_from_words,
)

WIDTH = 128
POSITIONS = 1024
NAMED = 2.5
HIDDEN = -1e4
RELEVANCE = 0.3
"""How much it weighs to mark the tokens that an answer is taken from."""


def everyday_config(vocabulary: int, image_token: int) -> Florence2Config:
    """Two encoder and three decoder layers. The vision part is in name only: the eye stands for it."""
    return Florence2Config(
        vision_config=vision_config(
            (32, 64, 128, 128), (1, 1, 1, 1), (2, 4, 4, 4), width=WIDTH, window=8, stride=(4, 2, 2, 1)
        ),
        text_config=text_config(
            vocabulary=vocabulary, width=WIDTH, layers=(2, 3), heads=4, ffn=512, positions=POSITIONS
        ),
        image_token_id=image_token,
        bos_token_id=BOS,
        pad_token_id=PAD,
        eos_token_id=EOS,
    )


class Voice(nn.Module):
    """The encoder of things and the language part, which share the embeddings of places."""

    def __init__(self, config: Florence2Config, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.florence: Florence2ForConditionalGeneration = build(config)
        initialise(self.florence)
        self.things = ThingsEncoder(config.text_config.d_model, NAMED)
        self.relevance = nn.Linear(config.text_config.d_model, 1)
        """Tells what an answer is taken from; it is not exported."""
        self.content = nn.Linear(config.text_config.d_model, config.text_config.d_model)
        """Tells the word of the answer from what it is taken from; it is not exported either."""
        self.first_place = tokenizer.token_to_id("<loc_0>") or 0
        self._begin(tokenizer)

    @torch.no_grad()
    def _begin(self, tokenizer: Tokenizer) -> None:
        """See `beginnings`."""
        for module in self.things.modules():
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=STD)
            elif isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
        for role, share in (("value", 1.2), ("after", 0.8), ("further", 0.4), ("key", 2.0), ("alike", 0.8)):
            straight(getattr(self.things, role), share)
        table = self.words.weight
        alike_words(table, tokenizer)
        table[self.first_place : self.first_place + STEPS] += _smooth(table.shape[1])
        tables_from_words(self.things, table, tokenizer)
        language = self.florence.model.language_model
        for part in (language.encoder, language.decoder):
            nn.init.normal_(part.embed_positions.weight, std=STD / 3)
            for layer in part.layers:
                alike_attention(layer.self_attn)
                if hasattr(layer, "encoder_attn"):
                    alike_attention(layer.encoder_attn)
        marking_head(language.encoder, TOKENS)

    @property
    def words(self) -> nn.Embedding:
        """The tied embeddings of tokens."""
        return self.florence.model.language_model.shared

    def trained(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """Matrices of the layers, and all other parameters that are trained.

        The nominal vision part is not, and neither is the encoder's own copy of places.
        """
        parts = (self.florence.model.language_model, self.things)
        layers = [
            module.weight for part in parts for module in part.modules() if isinstance(module, nn.Linear)
        ]
        known = {id(each) for each in (*layers, self.things.places.weight)}
        others = [each for part in parts for each in part.parameters() if id(each) not in known]
        others += [*self.relevance.parameters(), *self.content.parameters()]
        return layers, others

    def features(self, things: torch.Tensor, groups: int = GROUPS) -> torch.Tensor:
        """Tokens of lists [batch, 24, 8] as the vision encoder's file gives them, or see `ThingsEncoder`."""
        places = self.words.weight[self.first_place : self.first_place + STEPS]
        return self.things.tokens(things, places, groups)

    @torch.no_grad()
    def settle(self) -> ThingsEncoder:
        """The encoder of things with its own copy of the places, for export."""
        self.things.places.weight.copy_(self.words.weight[self.first_place : self.first_place + STEPS])
        return self.things

    def read_inputs(
        self, things: torch.Tensor, prompts: torch.Tensor, groups: int = GROUPS
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What the encoder's first layer is given, and which tokens of lists stand before the prompt's."""
        features = self.features(things, groups)
        rows = torch.tensor(kept_tokens(groups, things.shape[1]))
        body = self.florence.model.language_model.encoder
        table = body.embed_positions
        places = torch.cat([rows, TOKENS + torch.arange(prompts.shape[1])]) + table.offset
        inputs = torch.cat([features, self.words(prompts)], dim=1) + table.weight[places]
        return body.layernorm_embedding(inputs), rows

    def read(self, things: torch.Tensor, prompts: torch.Tensor, groups: int = GROUPS) -> Any:
        """Encoder states and their mask; fewer rows and groups leave out tokens that are empty."""
        states, rows = self.read_inputs(things, prompts, groups)
        body = self.florence.model.language_model.encoder
        mask = torch.cat(
            [torch.ones(len(prompts), len(rows), dtype=torch.long), (prompts != PAD).long()], dim=1
        )
        for layer in body.layers:
            looked = _look(layer.self_attn, states, states, _hidden_from(mask))
            states = feed(layer, layer.self_attn_layer_norm(states + looked))
        return states, mask

    def speak(self, states: torch.Tensor, mask: torch.Tensor, said: torch.Tensor) -> torch.Tensor:
        """Decoder states after each of the tokens `said`, [batch, tokens, width]."""
        body = self.florence.model.language_model.decoder
        table = body.embed_positions
        places = torch.arange(said.shape[1]) + table.offset
        hidden = body.layernorm_embedding(self.words(said) + table.weight[places])
        for layer in body.layers:
            hidden = layer.self_attn_layer_norm(hidden + _look(layer.self_attn, hidden, hidden, None))
            looked = _look(layer.encoder_attn, hidden, states, _hidden_from(mask))
            hidden = feed(layer, layer.encoder_attn_layer_norm(hidden + looked))
        return hidden


def _hidden_from(mask: torch.Tensor) -> torch.Tensor:
    return (1.0 - mask.float())[:, None, None, :] * HIDDEN


def _look(
    attention: Any, states: torch.Tensor, source: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    """Attention of `states` over `source`; without a bias none looks ahead."""
    heads = attention.num_heads
    queries = split_heads(attention.q_proj(states), heads)
    keys, values = (split_heads(part(source), heads) for part in (attention.k_proj, attention.v_proj))
    scores = (queries * attention.scaling) @ keys.transpose(2, 3)
    if bias is None:
        length = scores.shape[-1]
        bias = torch.full((length, length), HIDDEN).triu(1)
    mixed = torch.softmax(scores + bias.to(scores.dtype), dim=-1).to(values.dtype) @ values
    joined: torch.Tensor = attention.out_proj(mixed.transpose(1, 2).flatten(2))
    return joined


def _smooth(width: int) -> torch.Tensor:
    """Waves over the places, so that near ones begin alike: [1000, width]."""
    rates = torch.exp(torch.linspace(0.0, 5.0, width // 4))
    angles = torch.arange(STEPS)[:, None] / STEPS * rates[None, :] * 3.14159
    waves = torch.cat([angles.sin(), angles.cos()], dim=1)
    return torch.cat([waves, torch.zeros(STEPS, width - waves.shape[1])], dim=1) * 0.12


@dataclass(frozen=True)
class Batch:
    """Lists [batch, rows, 8] of at most so many groups, prompts and answers as padded token numbers.

    `marks` [batch, tokens of lists] are 1 for tokens that an answer is taken from, 0 for others, -1 unknown;
    `telling` [batch] is the word of the answer that tells it, -100 where nothing is marked.
    """

    things: torch.Tensor
    prompts: torch.Tensor
    targets: torch.Tensor
    groups: int
    marks: torch.Tensor
    telling: torch.Tensor


def loss_of(voice: Voice, batch: Batch) -> torch.Tensor:
    """Mean cross-entropy of the answers' tokens but the forced `<s>`, and of what they are taken from."""
    states, mask = voice.read(batch.things, batch.prompts, batch.groups)
    hidden = voice.speak(states, mask, decoder_inputs(batch.targets))
    counted = (batch.targets != PAD) & (batch.targets != BOS)
    scores = voice.florence.lm_head(hidden[counted])
    told = nn.functional.cross_entropy(scores.float(), batch.targets[counted])
    marking = _relevance_loss(voice, states, batch.marks) + _content_loss(voice, states, batch)
    return told + RELEVANCE * marking


def _content_loss(voice: Voice, states: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Cross-entropy of the telling word from the marked tokens alone: so they keep what they say."""
    known = batch.telling >= 0
    if not bool(known.any()):
        return states.new_zeros(())
    marks = (batch.marks[known] > 0).to(states.dtype)[:, :, None]
    mean = (states[known, : marks.shape[1]] * marks).sum(1) / marks.sum(1)
    scores = voice.florence.lm_head(voice.content(mean))
    return nn.functional.cross_entropy(scores.float(), batch.telling[known])


def _relevance_loss(voice: Voice, states: torch.Tensor, marks: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the marks, what is marked weighing more; words of the prompt are never marked."""
    told = marks[:, :1] >= 0
    prompts = torch.zeros(len(marks), states.shape[1] - marks.shape[1]).masked_fill(~told, -1.0)
    marks = torch.cat([marks, prompts], dim=1)
    known = marks >= 0
    if not bool(known.any()):
        return states.new_zeros(())
    scores = voice.relevance(states).squeeze(-1)[known].float()
    weights = 1 + 9 * marks[known]
    return nn.functional.binary_cross_entropy_with_logits(scores, marks[known], weights)


@torch.no_grad()
def say(voice: Voice, things: torch.Tensor, prompts: torch.Tensor, most: int = 100) -> torch.Tensor:
    """Greedy answers as int64 [batch, tokens], start tokens included, from whole lists."""
    states, mask = voice.read(things, prompts)
    tokens = torch.tensor([[EOS, BOS]]).repeat(len(prompts), 1)
    ended = torch.zeros(len(prompts), dtype=torch.bool)
    while tokens.shape[1] < most and not bool(ended.all()):
        scores = voice.florence.lm_head(voice.speak(states, mask, tokens)[:, -1])
        chosen = scores.argmax(-1).masked_fill(ended, PAD)
        tokens = torch.cat([tokens, chosen[:, None]], dim=1)
        ended |= chosen == EOS
    return tokens
