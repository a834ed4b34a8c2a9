"""Let heads look from a kind just said to what comes next: `python -m training.everyday.following FROM TO`.

A list is said in an order that its tokens tell: each names the kind before it. Training alone finds this only
in its last layer, late. Here, after some hundred steps, the heads of one group begin anew: of the hidden
states of kinds just said, and of those of the tokens that name them as the kind before, the directions are
taken in which both are most alike (canonical correlation), and queries and keys compare just these.
"""

from __future__ import annotations

import argparse
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from training.everyday.batches import Coder, Encoded, collate
from training.everyday.beginnings import slow_places
from training.everyday.model import GROUPS, TOKENS, Speaker
from training.everyday.talks import Talk
from training.everyday.train_everyday import Trainer, parse
from training.everyday.turns import turn
from training.things.facts import NO_KIND, facts_of
from training.things.kinds import KINDS
from training.things.lists import sample
from training.things.view import View, tensor_rows

LAYER, GROUP = 2, 1
DIRECTIONS = 18
_MATCH, _TYPE, _SAID = 14.0, 9.0, 0.3
"""Scores of a kind that fits and of a token of the right type, and how much of its name comes back."""
_ORDER = 2 * GROUPS
"""The first image token that tells the order."""
_PREFERS = 6.0


@dataclass(frozen=True)
class Asked:
    """A conversation and where in it which kind is said: kind to position; and what each token follows."""

    talk: Talk
    made: Encoded
    follows: list[int]
    said: dict[int, int]


@dataclass(frozen=True)
class States:
    """Rows of hidden states [n, width], `kinds` [n] of them, and those of every token of the lists."""

    said: torch.Tensor
    said_kinds: torch.Tensor
    told: torch.Tensor
    told_kinds: torch.Tensor
    others: torch.Tensor


def _last_tokens(coder: Coder) -> list[set[int]]:
    """The tokens that end each kind's name."""

    def last(text: str) -> int:
        return coder.ids(text)[-1]

    return [{last(f" {kind.name}"), last(f" {kind.plural}"), last(kind.name.capitalize())} for kind in KINDS]


def _asked(coder: Coder, rng: random.Random) -> Iterator[Asked]:
    """Captions and lists of two kinds or more, for ever."""
    ends = _last_tokens(coder)
    while True:
        view = View(sample(rng))
        facts = facts_of(torch.tensor([tensor_rows(view.things)]), GROUPS)
        if int((facts.group < NO_KIND).sum()) < 2:
            continue
        kind = rng.choice(("short", "list", "detailed"))
        talk = Talk((view,), (turn(view, kind, rng),))
        made = coder.sequence(talk, rng, whole=0)
        begin = made.learnt.index(True)
        follows = (facts.before if kind == "list" else facts.gist_before)[0].tolist()
        said = {}
        for before in follows:
            places = [
                at for at in range(begin, len(made.ids)) if before < NO_KIND and made.ids[at] in ends[before]
            ]
            if places:
                said[before] = places[0]
        yield Asked(talk, made, follows, said)


def gather(speaker: Speaker, coder: Coder, batches: int, seed: int) -> States:
    """What stands before the layer's attention at the places that matter."""
    layer = speaker.model.model.language_model.layers[LAYER]
    seen: list[torch.Tensor] = []
    hook = layer.input_layernorm.register_forward_hook(lambda _module, _inputs, out: seen.append(out.float()))
    found: list[list[tuple[int, torch.Tensor]]] = [[], []]
    others = []
    source = _asked(coder, random.Random(seed))
    for _ in range(batches):
        asked = [next(source) for _ in range(50)]
        with torch.no_grad():
            speaker.hidden(collate([(each.talk, each.made) for each in asked], TOKENS))
        for row, each in zip(seen.pop(), asked, strict=True):
            first = each.made.images[0][0]
            others.append(row[first : first + TOKENS])
            found[0] += [(kind, row[at]) for kind, at in each.said.items()]
            told = enumerate(each.follows, first + _ORDER)
            found[1] += [(kind, row[at]) for at, kind in told if kind < NO_KIND]
    hook.remove()
    (said_kinds, said), (told_kinds, told) = (_joined(rows) for rows in found)
    return States(said, said_kinds, told, told_kinds, torch.cat([*others, said]))


def _joined(rows: list[tuple[int, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor([kind for kind, _ in rows]), torch.stack([row for _, row in rows])


def _moments(kinds: torch.Tensor, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean of each kind beside the mean of all [80, width], and the covariance within the kinds."""
    means = torch.zeros(NO_KIND, rows.shape[1]).index_add(0, kinds, rows - rows.mean(0))
    means = means / torch.bincount(kinds, minlength=NO_KIND).clamp(min=1)[:, None]
    rest = rows - rows.mean(0) - means[kinds]
    return means, rest.T @ rest / len(rows)


def _whitening(covariance: torch.Tensor) -> torch.Tensor:
    """The inverse square root, with a tenth of the mean variance added."""
    width = len(covariance)
    values, vectors = torch.linalg.eigh(covariance + 0.1 * covariance.diagonal().mean() * torch.eye(width))
    return torch.as_tensor(vectors @ torch.diag(values**-0.5) @ vectors.T)


def compared(states: States) -> tuple[torch.Tensor, torch.Tensor]:
    """Directions of queries and of keys [18, width], scaled so that kinds that fit score `_MATCH`."""
    said, within_said = _moments(states.said_kinds, states.said)
    told, within_told = _moments(states.told_kinds, states.told)
    left, right = _whitening(within_said), _whitening(within_told)
    first, _, second = torch.linalg.svd((said @ left).T @ (told @ right))
    asked, found = first[:, :DIRECTIONS].T @ left, second[:DIRECTIONS] @ right
    score = ((said @ asked.T) * (told @ found.T)).sum(1)
    scale = (_MATCH / score[score != 0].median()) ** 0.5
    return asked * scale, found * scale


def _type_of(states: States) -> tuple[torch.Tensor, torch.Tensor]:
    """A direction [width] in which tokens that tell the order differ from all others, and its middle."""
    mean, rest = states.told.mean(0), states.others.mean(0)
    spread = _whitening(0.5 * (torch.cov(states.told.T) + torch.cov(states.others.T)))
    along = spread @ spread @ (mean - rest)
    along = along / (along @ (mean - rest))
    return along, along @ (mean + rest) / 2


@torch.no_grad()
def follow(speaker: Speaker, coder: Coder, *, batches: int = 30, seed: int = 8) -> None:
    """Overwrite the heads of one group of one layer."""
    states = gather(speaker, coder, batches, seed)
    asked, found = compared(states)
    attention = speaker.model.model.language_model.layers[LAYER].self_attn
    size, shared = attention.head_dim, attention.num_key_value_groups
    unit, base = size**0.25, GROUP * size
    rows, pair = slow_places(attention), size // 2 - 1
    _blank(attention.k_proj, base, size)
    attention.k_proj.weight[[base + row for row in rows]] = unit * found
    attention.k_proj.bias[[base + row for row in rows]] = -unit * found @ states.told.mean(0)
    along, middle = _type_of(states)
    strength = _TYPE * size**0.5 / _PREFERS
    attention.k_proj.weight[base + pair], attention.k_proj.bias[base + pair] = (
        strength * along,
        -strength * middle,
    )
    words = speaker.model.get_input_embeddings().weight
    names = torch.stack([words[coder.ids(f" {kind.name}")[0]] for kind in KINDS])
    value = torch.linalg.svd(names - names.mean(0), full_matrices=False)[2][:size]
    attention.v_proj.weight[base : base + size] = value
    attention.v_proj.bias[base : base + size] = 0
    for head in range(GROUP * shared, (GROUP + 1) * shared):
        begin = head * size
        _blank(attention.q_proj, begin, size)
        attention.q_proj.weight[[begin + row for row in rows]] = unit * asked
        attention.q_proj.bias[[begin + row for row in rows]] = -unit * asked @ states.said.mean(0)
        attention.q_proj.bias[begin + pair] = _PREFERS
        attention.o_proj.weight[:, begin : begin + size] = _SAID * value.T


def _blank(linear: nn.Linear, begin: int, size: int) -> None:
    linear.weight[begin : begin + size] = 0
    linear.bias[begin : begin + size] = 0


def main() -> None:
    """Take a run from one folder to another."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    shutil.copytree(options.source, options.out, dirs_exist_ok=True)
    trainer = Trainer(parse(["--out", str(options.out)]))
    follow(trainer.speaker, trainer.coder)
    trainer.save()


if __name__ == "__main__":
    main()
