"""Heads of the everyday chat model are told what to look at, and find it."""

from __future__ import annotations

import copy
import random

import pytest

from tests.oracle.test_beginnings_live import _fresh

pytestmark = pytest.mark.oracle


def test_what_heads_should_look_at_is_found_within_some_steps() -> None:
    torch = pytest.importorskip("torch")
    from training.everyday.batches import Coder  # noqa: PLC0415
    from training.everyday.looks import ASKED, FOLLOWING, drawn, looks_loss, weights_of  # noqa: PLC0415
    from training.everyday.model import TOKENS  # noqa: PLC0415

    fresh, tokenizer = _fresh(torch)
    speaker = copy.deepcopy(fresh)
    coder = Coder(tokenizer, TOKENS)
    told, wanted = drawn(coder, random.Random("a test"), 40)
    assert set(wanted) == {*FOLLOWING, *ASKED}
    assert all(len(looks) >= 10 for looks in wanted.values())

    def least() -> float:
        with torch.no_grad():
            return min(logs.exp().mean().item() for logs in weights_of(speaker, told, wanted).values())

    assert least() < 0.3
    attention = speaker.model.model.language_model.layers[0].self_attn
    parts = [part for name in "qk" for part in getattr(attention, f"{name}_proj").parameters()]
    optimiser = torch.optim.Adam(parts, lr=3e-3)
    for step in range(120):
        optimiser.zero_grad()
        looks_loss(speaker, coder, random.Random(step), 24).backward()
        optimiser.step()
    assert least() > 0.6
