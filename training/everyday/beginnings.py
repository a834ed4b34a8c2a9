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
