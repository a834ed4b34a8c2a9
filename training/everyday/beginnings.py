"""Where training begins: words of one meaning alike, lists in their terms, heads that look for what is alike.

From random weights a model this small finds out only after hundreds of thousands of samples that it is worth
looking from `dogs` to the token of a list that is about dogs (the idea is known as mimetic initialisation).
"""

from __future__ import annotations

import torch
from tokenizers import Tokenizer
from torch import nn

from training.everyday.model import Speaker, ThingsEncoder
from training.things.captions import NUMBERS
from training.things.kinds import COLOURS, SUPERS
from training.things.view import EXTREMES
from training.voice.beginnings import alike_words

_PLAIN, _SAID, _ROLE = 0.04, 0.1, 0.6
_EMPTY = 2
"""The type of a token about no kind."""
_LOOKING = (0, 1, 2)
"""Layers of which half of the heads look for what is alike."""


@torch.no_grad()
def begin(speaker: Speaker, tokenizer: Tokenizer) -> None:
    """Overwrite the random weights of a fresh model."""
    words = speaker.model.get_input_embeddings().weight
    alike_words(words, tokenizer)
    _lists(speaker.encoder, words, tokenizer)
    for layer in _LOOKING:
        _look_alike(speaker.model.model.language_model.layers[layer].self_attn)
    mark_named(speaker)


def _lists(encoder: ThingsEncoder, words: torch.Tensor, tokenizer: Tokenizer) -> None:
    """Kinds, numbers, colours and families look like the words for them; all else is faint."""

    def vector(text: str) -> torch.Tensor:
        return words[tokenizer.encode(f" {text}").ids].mean(0)

    for table in encoder.modules():
        if isinstance(table, nn.Embedding):
            nn.init.normal_(table.weight, std=_PLAIN if table is encoder.own else _SAID)
    for name, role in encoder.roles.items():
        nn.init.xavier_uniform_(role.weight)
        role.weight.mul_(_ROLE)
        if name == "key":
            role.weight.mul_(0.3).add_(1.7 * torch.eye(encoder.width))
    for name, share in (("first", 1.5), ("last", 0.8), ("plural", 0.0)):
        nn.init.eye_(encoder.forms[name].weight).mul_(share)
    for number, word in enumerate(NUMBERS):
        encoder.tables["count"].weight[number] = 1.4 * vector(word)
    for number, word in enumerate(COLOURS):
        encoder.tables["colour"].weight[number] = 1.4 * vector(word)
    first = 7 + len(EXTREMES)
    for number, word in enumerate(SUPERS):
        encoder.types.weight[first + number] = vector(word)


@torch.no_grad()
def mark_named(speaker: Speaker) -> None:
    """Let the heads of one group begin by looking from a noun to the list's token that is about it.

    All tokens of lists get a direction in common, which keys prefer, so that a noun does not look at itself
    first. Only slow rotary pairs compare: the others forget what is alike within some tokens.
    """
    encoder, body = speaker.encoder, speaker.model.model.language_model
    common = torch.randn(encoder.width)
    common /= common.norm()
    for row in [number for number in range(len(encoder.types.weight)) if number != _EMPTY]:
        encoder.types.weight[row] += (1.5 if row else 4.0) * common
    attention = body.layers[0].self_attn
    width, half = attention.head_dim, attention.head_dim // 2
    slow = [pair + part for part in (0, half) for pair in range(half // 2 - 1, half - 1)]
    alike = torch.linalg.qr(torch.randn(encoder.width, len(slow)))[0].T * 1.9
    key = torch.zeros(width, encoder.width)
    key[slow], key[half - 1] = alike, 1.1 * common
    attention.k_proj.weight[:width] = key
    attention.k_proj.bias[:width] = 0
    for head in range(attention.num_key_value_groups):
        first = head * width
        attention.q_proj.weight[first : first + width] = 0
        attention.q_proj.bias[first : first + width] = 0
        attention.q_proj.weight[[first + place for place in slow]] = alike
        attention.q_proj.bias[first + half - 1] = 4.0
    attention.v_proj.weight[0] = common
    mark = torch.randn(encoder.width)
    attention.o_proj.weight[:, 0] = 0.5 * mark / mark.norm()


def _look_alike(attention: nn.Module) -> None:
    """The heads of the first group: queries and keys nearly alike, and what is looked at comes back."""
    width, shared = attention.head_dim, attention.num_key_value_groups
    inner = attention.q_proj.weight.shape[1]
    common, own = (torch.randn(width, inner) / inner**0.5 for _ in range(2))
    attention.k_proj.weight[:width] = 1.2 * (0.9 * common + 0.4 * own)
    value = torch.linalg.qr(torch.randn(inner, width))[0].T
    attention.v_proj.weight[:width] = value
    for head in range(shared):
        rows = slice(head * width, (head + 1) * width)
        attention.q_proj.weight[rows] = 1.2 * (0.9 * common + 0.4 * torch.randn(width, inner) / inner**0.5)
        attention.o_proj.weight[:, rows] = 0.4 * value.T + 0.3 * attention.o_proj.weight[:, rows]
