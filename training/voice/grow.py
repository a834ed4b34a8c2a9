"""Carry weights over to more words and more tokens of a list: `python -m training.voice.grow OLD.pt OLD OUT`.

`OLD` is the folder of the old tokenizer, `OUT` gets the new one and `grown.pt`, for `train_voice --start`.
New words begin as the words that they stand beside in `wordings`; tokens of a list begin as the one that
said the same in the layout before.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from tokenizers import Tokenizer

from training.things.encoder import A_GROUP, A_THING, COLUMNS, GLOBALS, GROUPS, TOKENS
from training.things.view import ROWS, SIDES
from training.things.wordings import beside_each_other
from training.voice.train_voice import make

OLD_GROUP, OLD_GLOBALS = 4, GLOBALS - COLUMNS - 2
OLD_TOKENS = OLD_GROUP * GROUPS + OLD_GLOBALS + A_THING * ROWS
_OLD_GROUPS = (0, 1, 1, 2, 2, 3, 0)
"""The old token of a group that each new one begins as."""
_TABLE = "florence.model.language_model.shared.weight"
_PLACES = "florence.model.language_model.encoder.embed_positions.weight"
Weights = dict[str, torch.Tensor]


def grown_words(
    fresh: torch.Tensor, old: torch.Tensor, tokens: dict[str, int], known: dict[str, int]
) -> torch.Tensor:
    """Rows of words in both; the others like their neighbours in `wordings`, or as they are."""
    made, alike = fresh.clone(), beside_each_other()
    for token, number in tokens.items():
        if token in known:
            made[number] = old[known[token]]
            continue
        space, word = ("\u0120", token[1:]) if token[:1] == "\u0120" else ("", token)
        near = [known[space + other] for other in alike.get(word, ()) if space + other in known]
        if near:
            made[number] = old[near].mean(0)
    return made


def old_slots(groups: int, rest: int) -> list[int]:
    """For each of the new slots of a layout with so many `groups` and `rest` behind it, the old one."""
    old_rest = OLD_GROUP * groups
    found = [OLD_GROUP * group + place for group in range(groups) for place in _OLD_GROUPS]
    found += [old_rest + place for place in range(OLD_GLOBALS)]
    found += [old_rest + OLD_GLOBALS - 1] * (COLUMNS + 2)
    return found + [old_rest + OLD_GLOBALS + place for place in range(rest)]


def grown(fresh: Weights, old: Weights, tokens: dict[str, int], known: dict[str, int]) -> Weights:
    """The old weights in the shapes of the fresh ones."""
    made = {name: old.get(name, value).clone() for name, value in fresh.items()}
    for name, value in fresh.items():
        if name.endswith(("shared.weight", "embed_tokens.weight", "lm_head.weight")):
            made[name] = grown_words(value, old[_TABLE], tokens, known)
        elif name.endswith("final_logits_bias"):
            made[name] = value.clone()
    made[_PLACES] = fresh[_PLACES].clone()
    slots = old_slots(GROUPS, A_THING * ROWS)
    made[_PLACES][2 : 2 + TOKENS] = old[_PLACES][[2 + slot for slot in slots]]
    made[_PLACES][2 + TOKENS :] = old[_PLACES][2 + OLD_TOKENS :][: len(made[_PLACES]) - 2 - TOKENS]
    made["things.types.weight"] = old["things.types.weight"][old_slots(1, A_THING + 2)]
    _sides(made, tokens)
    made["things.side_before.weight"] = old["things.super_before.weight"].clone()
    return made


def _sides(made: Weights, tokens: dict[str, int]) -> None:
    """Tokens of one side have something of the word for it, and new ones something of their own."""
    types, table = made["things.types.weight"], made[_TABLE]
    for side, word in enumerate(SIDES):
        types[1 + side] += table[tokens[f"\u0120{word}"]]
    types[6] += 0.1 * torch.randn_like(types[6])
    first = A_GROUP + OLD_GLOBALS
    for place in range(COLUMNS + 2):
        word = (*("left", "middle", "right"), "left", "right")[place // 3 if place < COLUMNS else place - 6]
        types[first + place] = table[tokens[f"\u0120{word}"]] + 0.1 * torch.randn_like(types[0])


def main() -> None:
    """Write the grown checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", type=Path, help="checkpoint")
    parser.add_argument("tokenizer", type=Path, help="folder of its tokenizer")
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    voice, words = make(options.out, 1)
    before = Tokenizer.from_file(str(options.tokenizer / "tokenizer.json"))
    old = torch.load(options.old, weights_only=True)["model"]
    made = grown(voice.state_dict(), old, words.prompts.get_vocab(), before.get_vocab())
    voice.load_state_dict(made)
    torch.save({"model": voice.state_dict()}, options.out / "grown.pt")


if __name__ == "__main__":
    main()
