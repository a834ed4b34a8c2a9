"""Where training begins: words of one meaning alike, lists in their terms, heads that look for what is alike.

From random weights a model this small finds out only after hundreds of thousands of samples that it is worth
looking from `dogs` to the token of a list that is about dogs (the idea is known as mimetic initialisation).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import nn
from torch.nn import functional

from training.everyday.model import HEADS, Speaker, ThingsEncoder
from training.things.captions import NUMBERS
from training.things.kinds import COLOURS, KINDS, SUPERS
from training.things.view import EXTREMES
from training.voice.beginnings import alike_words, meaning_of

_PLAIN, _SAID, _ROLE = 0.04, 0.1, 0.6
_PAIRS = 9
"""Rotary pairs that hardly turn within a thousand tokens."""
_CODED, _SHARP, _COMMON, _PREFERRED = 0.9, 1.1, 2.0, 10.0
_TOLD, _MARK = 0.2, 0.45
_LOOKING = (1, 2)
"""Layers of which half of the heads look for what is alike."""


@torch.no_grad()
def begin(speaker: Speaker, tokenizer: Tokenizer) -> None:
    """Overwrite the random weights of a fresh model."""
    words = speaker.model.get_input_embeddings().weight
    codes, gist, order = torch.linalg.qr(torch.randn(words.shape[1], 6 * _PAIRS))[0].T.split(2 * _PAIRS)
    alike_words(words, tokenizer)
    _code(words, tokenizer, codes)
    _lists(speaker.encoder, words, tokenizer)
    _leave_free(speaker.encoder, codes)
    layers = [layer.self_attn for layer in speaker.model.model.language_model.layers]
    for layer in _LOOKING:
        for head in range(HEADS // 2):
            _look_alike(layers[layer], head)
    for search in _SEARCHES:
        _find(speaker.encoder, layers[0], codes, search)
    for role, (head, share, found) in {"gist_before": (2, 1.0, gist), "before": (5, 2.5, order)}.items():
        speaker.encoder.roles[role].weight.mul_(0.3).add_(share * found.T @ codes)
        _follow(layers[0], head, codes, found)


def _lists(encoder: ThingsEncoder, words: torch.Tensor, tokenizer: Tokenizer) -> None:
    """Kinds, numbers, colours and families look like the words for them; all else is faint."""

    def vector(text: str) -> torch.Tensor:
        return words[tokenizer.encode(f" {text}").ids].mean(0)

    for table in encoder.modules():
        if isinstance(table, nn.Embedding):
            nn.init.normal_(table.weight, std=_PLAIN if table is encoder.own else _SAID)
    for name in ("place", "near", "columns"):
        nn.init.normal_(encoder.tables[name].weight, std=0.15)
    _roles(encoder)
    for name, share in (("first", 1.5), ("last", 1.5), ("plural", 0.0)):
        nn.init.eye_(encoder.forms[name].weight).mul_(share)
    for number, word in enumerate(NUMBERS):
        encoder.tables["count"].weight[number] = 2.0 * vector(word)
    for number, word in enumerate(COLOURS):
        encoder.tables["colour"].weight[number] = 2.0 * vector(word)
    first = 7 + len(EXTREMES)
    for number, word in enumerate(SUPERS):
        encoder.types.weight[first + number] = vector(word)


def _roles(encoder: ThingsEncoder) -> None:
    """What is beside a kind keeps the kind as it is; who else is spoken of stands in other directions."""
    for name, role in encoder.roles.items():
        nn.init.xavier_uniform_(role.weight)
        role.weight.mul_(_ROLE)
        if name == "key":
            role.weight.mul_(0.3).add_(0.9 * torch.eye(encoder.width))


def _leave_free(encoder: ThingsEncoder, codes: torch.Tensor) -> None:
    """What a token of a list says beside its kind is not to look like another kind."""
    for table in encoder.tables.values():
        table.weight.copy_(_apart(table.weight, codes))
    roles = [role for name, role in encoder.roles.items() if name != "key"]
    for linear in (*roles, encoder.shown):
        linear.weight.copy_(_apart(linear.weight.T, codes).T)


@dataclass(frozen=True)
class _Search:
    """What heads find: tokens of a type, and what the tables `told` say there."""

    heads: tuple[int, ...]
    type: int
    told: tuple[str, ...]


_SEARCHES = (
    _Search((0, 1), 0, ("count", "sure")),
    _Search((3, 4), 4, ("colour", "place", "near", "columns")),
)


def _find(encoder: ThingsEncoder, attention: nn.Module, codes: torch.Tensor, search: _Search) -> None:
    """Heads look from a noun to the list's token of a type that has its name.

    Tokens of the type have a direction in common, which keys prefer by just so much that a noun without a
    token looks at itself. What comes back is what the tables say, and a mark for how much was found.
    """
    common = _apart(torch.randn(1, encoder.width), codes)[0]
    common /= common.norm()
    encoder.types.weight[search.type] += _COMMON * common
    if search.type == 0:
        encoder.types.weight[5 + 2 + len(EXTREMES) :] += 0.5 * common
    tables = [encoder.tables[name].weight for name in search.told]
    spread = torch.cat([table - table.mean(0) for table in tables])
    width, half = attention.head_dim, attention.head_dim // 2
    basis = torch.linalg.svd(spread, full_matrices=False)[2][: width - 1]
    filling = torch.randn(width - 1 - len(basis), encoder.width) / encoder.width**0.5
    value, mark = torch.cat([common[None], basis, filling]), torch.randn(encoder.width)
    for head in search.heads:
        _compare(attention, head, codes, codes)
        attention.k_proj.weight[head * width + half - 1] = common
        attention.q_proj.bias[head * width + half - 1] = _PREFERRED
        attention.v_proj.weight[head * width : (head + 1) * width] = value
        attention.o_proj.weight[:, head * width : (head + 1) * width] = _TOLD * value.T
        attention.o_proj.weight[:, head * width] = _MARK * mark / mark.norm()


def _follow(attention: nn.Module, head: int, codes: torch.Tensor, found: torch.Tensor) -> None:
    """A head looks from a kind just said to the token that it comes before, and brings the name there."""
    width = attention.head_dim
    _compare(attention, head, codes, found)
    rest = _apart(torch.randn(width - len(codes), codes.shape[1]), codes)
    value = torch.cat([codes, torch.linalg.qr(rest.T)[0].T])
    attention.v_proj.weight[head * width : (head + 1) * width] = value
    attention.o_proj.weight[:, head * width : (head + 1) * width] = 2 * _TOLD * value.T


def _compare(attention: nn.Module, head: int, asked: torch.Tensor, found: torch.Tensor) -> None:
    """A head looks from what has a code in `asked` to what has it in `found` [codes, width].

    Only slow rotary pairs compare: the others forget what is alike within some tokens. The slowest is free.
    """
    width, half = attention.head_dim, attention.head_dim // 2
    slow = [pair + part for part in (0, half) for pair in range(half - 1 - _PAIRS, half - 1)]
    for linear, directions in ((attention.q_proj, asked), (attention.k_proj, found)):
        linear.weight[head * width : (head + 1) * width] = 0
        linear.bias[head * width : (head + 1) * width] = 0
        linear.weight[[head * width + place for place in slow]] = _SHARP * directions


def _apart(rows: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Rows without what they share with others, which are orthonormal."""
    return rows - rows @ others.T @ others


def _spread(count: int, size: int) -> torch.Tensor:
    """Unit vectors [count, size] that are as little alike as a short descent finds."""
    found = torch.randn(count, size, requires_grad=True)
    with torch.enable_grad():
        optimiser = torch.optim.Adam([found], lr=0.05)
        for _ in range(400):
            unit = functional.normalize(found, dim=1)
            alike = (unit @ unit.T - 2 * torch.eye(count)) * 20
            optimiser.zero_grad()
            alike.logsumexp(1).sum().backward()
            optimiser.step()
    return functional.normalize(found.detach(), dim=1)


def _code(words: torch.Tensor, tokenizer: Tokenizer, codes: torch.Tensor) -> None:
    """Give words a code each in the directions `codes`, those of kinds and families the least alike."""
    named = {word for kind in KINDS for word in kind.name.split()} | set(SUPERS)
    known = sorted({meaning_of(word) for word in named})
    table = dict(zip(known, _spread(len(known), len(codes)), strict=True))
    for token, number in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1]):
        word = meaning_of(token)
        if word not in table:
            table[word] = functional.normalize(torch.randn(len(codes)), dim=0)
        words[number] = _apart(words[number : number + 1], codes)[0] + _CODED * table[word] @ codes


def _look_alike(attention: nn.Module, head: int) -> None:
    """Queries and keys of a head nearly alike, and what is looked at comes back."""
    width, inner = attention.head_dim, attention.q_proj.weight.shape[1]
    rows = slice(head * width, (head + 1) * width)
    common, own, other = (torch.randn(width, inner) / inner**0.5 for _ in range(3))
    value = torch.linalg.qr(torch.randn(inner, width))[0].T
    attention.q_proj.weight[rows] = 1.2 * (0.9 * common + 0.4 * own)
    attention.k_proj.weight[rows] = 1.2 * (0.9 * common + 0.4 * other)
    attention.v_proj.weight[rows] = value
    attention.o_proj.weight[:, rows] = 0.4 * value.T + 0.3 * attention.o_proj.weight[:, rows]
