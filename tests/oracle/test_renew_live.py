"""Heads of the everyday chat model that are put to new work: what they did is kept, and they find the new."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.oracle.test_beginnings_live import _fresh

pytestmark = pytest.mark.oracle


def test_a_pair_that_does_the_same_is_one_head_afterwards() -> None:
    torch = pytest.importorskip("torch")
    from training.everyday.renew import renew  # noqa: PLC0415

    speaker, _ = _fresh(torch)
    attention = speaker.model.model.language_model.layers[0].self_attn
    value, out, size = attention.v_proj, attention.o_proj, attention.head_dim

    def told(head: int, seen: Any) -> Any:
        rows = slice(head * size, (head + 1) * size)
        said = torch.nn.functional.linear(seen, value.weight[rows], value.bias[rows])
        return said @ out.weight[:, rows].T

    seen = torch.randn(50, value.weight.shape[1], generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        before = [told(0, seen) + told(1, seen), told(3, seen) + told(4, seen)]
        renew(speaker)
        after = [told(0, seen), told(3, seen)]
    for one, other in zip(before, after, strict=True):
        assert torch.allclose(one, other, atol=1e-3)


def test_new_work_is_found_within_some_steps() -> None:
    torch = pytest.importorskip("torch")
    from training.everyday.batches import Coder  # noqa: PLC0415
    from training.everyday.model import TOKENS  # noqa: PLC0415
    from training.everyday.renew import BESIDE, FOLLOWING, drawn, renew, teach, weights_of  # noqa: PLC0415

    speaker, tokenizer = _fresh(torch)
    coder = Coder(tokenizer, TOKENS)
    told, wanted = drawn(coder, random.Random("a test"), 40)

    def weights() -> dict[int, float]:
        with torch.no_grad():
            return {
                head: weights_of(speaker, told, head, wanted[head]).exp().mean().item() for head in wanted
            }

    renew(speaker)
    assert weights()[BESIDE] < 0.3
    teach(speaker, coder, 120, 3e-3, talks=24)
    learnt = weights()
    assert learnt[BESIDE] > 0.5
    assert min(learnt[head] for head in FOLLOWING) > 0.7
