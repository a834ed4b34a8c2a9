"""Where training begins: words of one meaning alike, and attention that looks for what is alike.

From random weights a model this small needs hundreds of thousands of samples to find out that `dogs`, `dog`,
`Dog` and the kind 16 belong together, and that it is worth looking from one to the other. Here they begin
with the same vector, with a little noise; queries and keys begin alike, and values come back as they went
(the idea is known as mimetic initialisation).
"""

from __future__ import annotations

import torch
from tokenizers import Tokenizer
from torch import nn

from training.things.captions import NUMBERS
from training.things.encoder import A_GROUP, ThingsEncoder
from training.things.kinds import COLOURS, KINDS, SUPER_PLURALS, SUPERS, SYNONYMS, plural_of
from training.things.view import EXTREMES

STD, NOISE = 0.09, 0.3
_SPACE = "\u0120"


def alike_words(table: torch.Tensor, tokenizer: Tokenizer) -> None:
    """Give the tokens of one word, with and without capital and space, one beginning; plurals near it."""
    vocabulary = tokenizer.get_vocab()
    bases: dict[str, torch.Tensor] = {}

    for token, number in sorted(vocabulary.items(), key=lambda item: item[1]):
        if token.startswith("<") and token.endswith(">"):
            continue
        base = bases.setdefault(meaning_of(token), torch.randn(table.shape[1]) * STD)
        table[number] = base + torch.randn_like(base) * STD * NOISE


def _meanings() -> dict[str, str]:
    """The word that stands for others."""
    found = {"grey": "gray", "colour": "color", "colours": "colors"}
    for kind in KINDS:
        found[kind.plural.split()[-1]] = kind.name.split()[-1]
        for other in SYNONYMS.get(kind.name, ()):
            found[other] = found[plural_of(other)] = kind.name
    found |= {str(number): word for number, word in enumerate(NUMBERS) if number}
    found |= {many: one for one, many in zip(SUPERS, SUPER_PLURALS, strict=True)}
    return found


_MEANINGS = _meanings()


def meaning_of(token: str) -> str:
    """The word that a token stands for: the same for capitals, plurals, synonyms and figures."""
    word = token.removeprefix(_SPACE).lower()
    return _MEANINGS.get(word, word)


def tables_from_words(things: ThingsEncoder, table: torch.Tensor, tokenizer: Tokenizer) -> None:
    """Begin the tables of kinds, numbers, colours and super-groups with the vectors of their words."""

    def vector(text: str) -> torch.Tensor:
        ids = tokenizer.encode(f" {text}", add_special_tokens=False).ids
        return table[ids].mean(0)

    for number, kind in enumerate(KINDS):
        things.kinds.weight[number] = vector(kind.name)
    for number, word in enumerate(NUMBERS):
        things.count.weight[number] = vector(word)
    for number, word in enumerate(COLOURS):
        things.colour.weight[number] = vector(word)
    first = A_GROUP + 2 + len(EXTREMES)
    for number, word in enumerate(SUPERS):
        things.types.weight[first + number] = vector(word)


def straight(linear: nn.Linear, share: float) -> None:
    """Let a role pass on what it is given, nearly as it is."""
    width = linear.weight.shape[0]
    linear.weight.copy_(share * torch.eye(width) + 0.2 * torch.randn(width, width) / width**0.5)


def alike_attention(attention: nn.Module) -> None:
    """Queries and keys nearly alike; what is looked at comes back nearly as it is."""
    width = attention.q_proj.weight.shape[0]
    shared = torch.randn(width, width) / width**0.5
    own = [torch.randn(width, width) / width**0.5 for _ in range(4)]
    attention.q_proj.weight.copy_(1.2 * (0.8 * shared + 0.6 * own[0]))
    attention.k_proj.weight.copy_(1.2 * (0.8 * shared + 0.6 * own[1]))
    value = torch.linalg.qr(own[2])[0]
    attention.v_proj.weight.copy_(value)
    attention.out_proj.weight.copy_(0.8 * value.T + 0.4 * own[3])


def marking_head(body: nn.Module, first_word: int) -> None:
    """Let one head of the encoder begin by marking the things that the prompt names.

    `body` is BART's encoder, whose words begin at the position `first_word`: all of these get a direction in
    common. The head looks for what is alike and prefers what has it; what it finds leaves a mark. Without it
    nouns were copied from questions, but 200,000 samples did not lead from a noun to the thing.
    """
    table = body.embed_positions
    width = table.weight.shape[1]
    common = torch.randn(width)
    common /= common.norm()
    table.weight[first_word + table.offset :] += 0.6 * common
    attention = body.layers[0].self_attn
    size = width // attention.num_heads
    alike = torch.linalg.qr(torch.randn(width, size - 1))[0].T * 2**0.5
    for projection in (attention.q_proj, attention.k_proj):
        projection.weight[: size - 1] = alike
        projection.bias[:size] = 0
        projection.weight[size - 1] = 0
    attention.q_proj.bias[size - 1] = 2.5
    attention.k_proj.weight[size - 1] = 2.5 * common
    attention.v_proj.weight[:size] *= 0.3
    attention.v_proj.weight[0] = common
    attention.v_proj.bias[0] = 0
    mark = torch.randn(width)
    attention.out_proj.weight[:, 0] = 1.8 * mark / mark.norm()
