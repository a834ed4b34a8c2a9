"""Give heads of the first layer work of their own again: `python -m training.everyday.renew DIR`.

Training at the full rate wears down what `beginnings` gives. Two heads that look from a name to what follows
it shared the kinds out, and of a dozen neither knew what follows. Of the pairs that look for what a thing is
and for how it looks, both heads did the same. Here one of each pair takes over what both did, the other one
is put to new work, and only what heads compare is learnt, until each looks where it should. Takes a minute;
the training goes on from there.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import dataclass

import torch
from torch.nn import functional
from transformers.models.qwen2_vl.modeling_qwen2_vl import apply_rotary_pos_emb

from training.everyday.batches import Coder, Encoded, Told, collate
from training.everyday.model import GROUPS, HEADS, TOKENS, Speaker
from training.everyday.talks import Talk, some_view
from training.everyday.train_everyday import Trainer, parse
from training.everyday.turns import turn
from training.things.facts import NO_KIND, facts_of
from training.things.kinds import KINDS
from training.things.view import View, tensor_rows

FOLLOWING = {1: "before", 2: "gist_before"}
"""Heads that look from a name to what comes after it, and in which order of `Facts`."""
BESIDE = 4
"""The head that looks from a name to the token that says what is beside it."""
_MERGED = ((0, 1), (3, 4))
_SHARE = 0.4
_SPOKEN = ("short", "short", "title", "list", "list")
_ASKED = ("left", "right", "where", "count", "exists", "colour")
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


def beside_of(coder: Coder, talk: Talk, made: Encoded, row: int) -> list[Look]:
    """From the name in a question to its token, or to itself where the thing is not there."""
    view, about = talk.views[0], talk.turns[0].about
    first = made.images[0][0]
    noun = coder.said(made.ids, about, first + TOKENS)
    places = [place for place, group in enumerate(view.groups[:GROUPS]) if group.kind == about]
    if noun < 0:
        return []
    return [Look(row, noun, first + GROUPS + places[0] if places else noun)]


def drawn(coder: Coder, rng: random.Random, talks: int) -> tuple[Told, dict[int, list[Look]]]:
    """A batch of conversations, and where the heads should look in it."""
    batch: list[tuple[Talk, Encoded]] = []
    wanted: dict[int, list[Look]] = {head: [] for head in (*FOLLOWING, BESIDE)}
    while len(batch) < talks:
        view = some_view(rng)
        names = {KINDS[group.kind].name for group in view.groups}
        if len(names) < 2 or any(pair <= names for pair in _CONFUSABLE):
            continue
        spoken = rng.random() < 0.5
        talk = Talk((view,), (turn(view, rng.choice(_SPOKEN if spoken else _ASKED), rng),))
        made = coder.sequence(talk, rng, whole=0)
        if spoken:
            for head, looks in looks_of(coder, view, made, len(batch)).items():
                wanted[head] += looks
        else:
            wanted[BESIDE] += beside_of(coder, talk, made, len(batch))
        batch.append((talk, made))
    return collate(batch, TOKENS), wanted


def weights_of(speaker: Speaker, told: Told, head: int, looks: list[Look]) -> torch.Tensor:
    """Log of the weight that a head of the first layer gives to the wanted token, float [looks]."""
    model = speaker.model.model.language_model
    attention, layer = model.layers[0].self_attn, model.layers[0]
    normed = layer.input_layernorm(speaker.embedded(told))
    size = attention.head_dim
    rows = slice(head * size, (head + 1) * size)

    def projected(linear: torch.nn.Linear) -> torch.Tensor:
        return functional.linear(normed, linear.weight[rows], linear.bias[rows])[:, None]

    query, key = apply_rotary_pos_emb(
        projected(attention.q_proj), projected(attention.k_proj), *model.rotary_emb(normed, told.positions)
    )
    row, noun, token = (
        torch.tensor([getattr(look, name) for look in looks]) for name in ("row", "noun", "token")
    )
    scores = (query[row, 0, noun, None] * key[row, 0]).sum(-1) / size**0.5
    later = torch.arange(scores.shape[1]) > noun[:, None]
    return scores.masked_fill(later, -1e9).log_softmax(1)[torch.arange(len(looks)), token]


@torch.no_grad()
def renew(speaker: Speaker) -> None:
    """Put two heads of the first layer to new work; what they did is done by their neighbours."""
    attention = speaker.model.model.language_model.layers[0].self_attn
    size = attention.head_dim
    query, key, value, out = (getattr(attention, f"{name}_proj") for name in "qkvo")

    def rows(head: int) -> slice:
        return slice(head * size, (head + 1) * size)

    for kept, freed in _MERGED:
        both = sum(out.weight[:, rows(head)] @ value.weight[rows(head)] for head in (kept, freed))
        shift = sum(out.weight[:, rows(head)] @ value.bias[rows(head)] for head in (kept, freed))
        left, strength, right = torch.linalg.svd(torch.as_tensor(both))
        root = strength[:size].sqrt()
        out.weight[:, rows(kept)] = left[:, :size] * root
        value.weight[rows(kept)] = root[:, None] * right[:size]
        value.bias[rows(kept)] = (left[:, :size].T @ torch.as_tensor(shift)) / root
    for linear in (query, key, value):
        linear.weight[rows(1)], linear.bias[rows(1)] = linear.weight[rows(5)], linear.bias[rows(5)]
    out.weight[:, rows(1)] = out.weight[:, rows(5)]
    for linear in (query, key):
        linear.weight[rows(4)], linear.bias[rows(4)] = linear.weight[rows(3)], linear.bias[rows(3)]
    told = _beside(speaker)
    basis = torch.linalg.svd(told - told.mean(0), full_matrices=False)[2][:size]
    value.weight[rows(4)], value.bias[rows(4)] = basis, 0.0
    out.weight[:, rows(4)] = _SHARE * basis.T


def _beside(speaker: Speaker) -> torch.Tensor:
    """How things to the left and to the right look in a list, as the first layer is given them."""
    encoder, model = speaker.encoder, speaker.model.model.language_model
    kinds = encoder.table(speaker.model.get_input_embeddings().weight)[:NO_KIND]
    told = torch.cat([encoder.roles[side](kinds - kinds.mean(0)) for side in ("left", "right")])
    return told * model.layers[0].input_layernorm.weight


def teach(speaker: Speaker, coder: Coder, steps: int, rate: float, talks: int = 48) -> None:
    """Change what the heads compare, and nothing else."""
    attention = speaker.model.model.language_model.layers[0].self_attn
    parts = [attention.q_proj.weight, attention.q_proj.bias, attention.k_proj.weight, attention.k_proj.bias]
    size = attention.head_dim
    rows = torch.zeros(HEADS * size, dtype=torch.bool)
    for head in (*FOLLOWING, BESIDE):
        rows[head * size : (head + 1) * size] = True
    optimiser = torch.optim.Adam(parts, lr=rate)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = rate * min(1.0, 2 * (1 - step / steps))
        told, wanted = drawn(coder, random.Random(f"followers {step}"), talks)
        loss = torch.zeros(())
        for head, looks in wanted.items():
            logs = weights_of(speaker, told, head, looks)
            loss = loss - logs.mean()
            if step % 25 == 0:
                print(f"{step} head {head}: {logs.exp().mean():.3f}", flush=True)
        optimiser.zero_grad()
        grads = torch.autograd.grad(loss, parts)
        for part, grad in zip(parts, grads, strict=True):
            part.grad = grad * (rows[:, None] if grad.dim() == 2 else rows)
        optimiser.step()


def main() -> None:
    """Renew the last checkpoint of a training."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--steps", type=int, default=320)
    parser.add_argument("--rate", type=float, default=3e-3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    trainer = Trainer(parse(["--out", options.folder]))
    renew(trainer.speaker)
    teach(trainer.speaker, trainer.coder, options.steps, options.rate)
    trainer.save()


if __name__ == "__main__":
    main()
