"""Where the training of the everyday chat model begins: with heads that look from a noun to its thing."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import pytest

from training.things.kinds import KINDS

pytestmark = pytest.mark.oracle


def test_a_fresh_speaker_looks_from_a_noun_to_both_tokens_about_it() -> None:
    """Without this beginning, hours of training do not find the way from `dog` to the dog of the list."""
    torch = pytest.importorskip("torch")
    from training.everyday.batches import Coder, collate  # noqa: PLC0415
    from training.everyday.model import GROUPS, TOKENS  # noqa: PLC0415

    speaker, tokenizer = _fresh(torch)
    rng = random.Random(3)
    coder, asked = Coder(tokenizer, TOKENS), [_question(rng) for _ in range(32)]
    made = [coder.sequence(talk, rng, whole=0) for talk, *_ in asked]
    told = collate([(talk, each) for (talk, *_), each in zip(asked, made, strict=True)], TOKENS)
    with torch.no_grad():
        seen = speaker.model.model.language_model(
            inputs_embeds=speaker.embedded(told),
            position_ids=told.positions,
            use_cache=False,
            output_attentions=True,
        ).attentions[0]
    looks, others = [], []
    for row, ((_, name, place), each) in enumerate(zip(asked, made, strict=True)):
        last = tokenizer.encode(name).ids[-1]
        noun = max(number for number, token in enumerate(each.ids) if token == last)
        first = each.images[0][0] + place
        looks.append([seen[row, :3, noun, first].mean(), seen[row, 3:, noun, first + 3 * GROUPS].mean()])
        others.append([seen[row, 3:, noun, first].mean(), seen[row, :3, noun, first + 3 * GROUPS].mean()])
    assert torch.tensor(looks).mean(0).min() > 0.5
    assert torch.tensor(others).mean(0).max() < 0.1


def _question(rng: random.Random) -> tuple[Any, str, int]:
    """A question about a kind of a list, its name, and the place of the kind among those of the list."""
    from training.everyday.talks import Talk  # noqa: PLC0415
    from training.everyday.turns import Turn  # noqa: PLC0415
    from training.things.lists import sample  # noqa: PLC0415
    from training.things.view import View  # noqa: PLC0415

    view = next(view for view in (View(sample(rng)) for _ in range(99)) if view.groups)
    place = rng.randrange(min(10, len(view.groups)))
    name = f" {KINDS[view.groups[place].kind].name}"
    return Talk((view,), (Turn("exists", f"Do you see the{name} here?", "Yes."),)), name, place


@cache
def _fresh(torch: Any) -> tuple[Any, Any]:
    """A model as training begins with it, and its tokenizer."""
    from training.chat.qwen_model import build, initialise  # noqa: PLC0415
    from training.chat.qwen_tokenizer import SPECIAL, token_id  # noqa: PLC0415
    from training.everyday.beginnings import begin  # noqa: PLC0415
    from training.everyday.model import Speaker, config_of, name_tokens  # noqa: PLC0415
    from training.everyday.vocabulary import build_tokenizer  # noqa: PLC0415

    torch.manual_seed(7)
    torch.set_num_threads(1)
    tokenizer = build_tokenizer()
    ids = {token: token_id(tokenizer, token) for token in SPECIAL}
    model = build(config_of(tokenizer.get_vocab_size(), ids))
    model.model.language_model.config._attn_implementation = "eager"
    initialise(model)
    speaker = Speaker(model)
    speaker.encoder.tokens_of.copy_(name_tokens(tokenizer))
    begin(speaker, tokenizer)
    return speaker, tokenizer
