"""What heads of the first layer are to look at: learnt beside what is said, so that they keep to it.

At the full rate training wears down what `beginnings` gives, and for some kinds a head that looks from a
name to what follows it is not found again in hours: lists then say one name twice. Each look is known from
the facts of the list, so it can be asked for like an answer.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional
from transformers.models.qwen2_vl.modeling_qwen2_vl import apply_rotary_pos_emb

from training.everyday.batches import Coder, Encoded, Told, collate
from training.everyday.model import GROUPS, TOKENS, Speaker
from training.everyday.talks import Talk, some_view
from training.everyday.turns import turn
from training.things.facts import NO_KIND, facts_of
from training.things.kinds import KINDS
from training.things.view import View, tensor_rows

FOLLOWING = {1: "before", 2: "gist_before"}
"""Heads that look from a name to what comes after it, and in which order of `Facts`."""
ASKED = {0: 0, 4: 1, 3: 3}
"""Heads that look from a name in a question to a token of it: what it is, what is beside it, its looks."""
_SPOKEN = ("short", "short", "title", "list", "list")
_QUESTIONS = ("left", "right", "where", "count", "exists", "colour")
_CONFUSABLE = ({"dog", "hot dog"}, {"bear", "teddy bear"})


@dataclass(frozen=True)
class Look:
    """In row `row` of a batch a head should look from position `noun` to position `token`."""

    row: int
    noun: int
    token: int


def looks_of(coder: Coder, view: View, made: Encoded, row: int) -> dict[int, list[Look]]:
    """For each head, from where to where, in a conversation that ends with the names of a list."""
    facts = facts_of(torch.tensor([tensor_rows(view.things)]), GROUPS)
    group, begin = facts.group[0].tolist(), made.learnt.index(True)
    first = made.images[0][0] + 2 * GROUPS
    found: dict[int, list[Look]] = {}
    for head, name in FOLLOWING.items():
        before = getattr(facts, name)[0].tolist()
        pairs = [(place, kind) for place, kind in enumerate(before) if group[place] < NO_KIND > kind]
        nouns = [(place, coder.said(made.ids, kind, begin)) for place, kind in pairs]
        found[head] = [Look(row, noun, first + place) for place, noun in nouns if noun >= 0]
    return found


def asked_of(coder: Coder, talk: Talk, made: Encoded, row: int) -> dict[int, list[Look]]:
    """From the name in a question to its tokens, or to itself where the thing is not there."""
    view, about = talk.views[0], talk.turns[0].about
    first = made.images[0][0]
    noun = coder.said(made.ids, about, first + TOKENS)
    places = [place for place, group in enumerate(view.groups[:GROUPS]) if group.kind == about]
    if noun < 0:
        return {}
    return {
        head: [Look(row, noun, first + token * GROUPS + places[0] if places else noun)]
        for head, token in ASKED.items()
    }


def drawn(coder: Coder, rng: random.Random, talks: int) -> tuple[Told, dict[int, list[Look]]]:
    """A batch of conversations, and where the heads should look in it."""
    batch: list[tuple[Talk, Encoded]] = []
    wanted: dict[int, list[Look]] = {head: [] for head in (*FOLLOWING, *ASKED)}
    while len(batch) < talks:
        view = some_view(rng)
        names = {KINDS[group.kind].name for group in view.groups}
        if len(names) < 2 or any(pair <= names for pair in _CONFUSABLE):
            continue
        spoken = rng.random() < 0.5
        talk = Talk((view,), (turn(view, rng.choice(_SPOKEN if spoken else _QUESTIONS), rng),))
        made = coder.sequence(talk, rng, whole=0)
        looks = looks_of(coder, view, made, len(batch)) if spoken else asked_of(coder, talk, made, len(batch))
        for head, found in looks.items():
            wanted[head] += found
        batch.append((talk, made))
    return collate(batch, TOKENS), wanted


def weights_of(speaker: Speaker, told: Told, wanted: Mapping[int, Sequence[Look]]) -> dict[int, torch.Tensor]:
    """For each head of the first layer the log of its weight on the wanted tokens, float [looks]."""
    model = speaker.model.model.language_model
    attention, layer = model.layers[0].self_attn, model.layers[0]
    normed = layer.input_layernorm(speaker.embedded(told))
    turns, size = model.rotary_emb(normed, told.positions), attention.head_dim

    def logs(head: int, looks: Sequence[Look]) -> torch.Tensor:
        rows = slice(head * size, (head + 1) * size)
        query, key = (
            functional.linear(normed, linear.weight[rows], linear.bias[rows])[:, None]
            for linear in (attention.q_proj, attention.k_proj)
        )
        query, key = apply_rotary_pos_emb(query, key, *turns)
        row, noun, token = (
            torch.tensor([getattr(look, name) for look in looks]) for name in ("row", "noun", "token")
        )
        scores = (query[row, 0, noun, None] * key[row, 0]).sum(-1) / size**0.5
        later = torch.arange(scores.shape[1]) > noun[:, None]
        return scores.masked_fill(later, -1e9).log_softmax(1)[torch.arange(len(looks)), token]

    return {head: logs(head, looks) for head, looks in wanted.items() if looks}


def looks_loss(speaker: Speaker, coder: Coder, rng: random.Random, talks: int) -> torch.Tensor:
    """Mean of minus the log of what each head gives to the token that it should look at, over the heads."""
    told, wanted = drawn(coder, rng, talks)
    return torch.stack([-logs.mean() for logs in weights_of(speaker, told, wanted).values()]).mean()
