"""A head that is put to new work looks at what is marked, and no other head changes."""

from __future__ import annotations

from pathlib import Path

import pytest

import hailo_florence

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle
TOKENIZER = Path(hailo_florence.__file__).parent / "everyday_model" / "tokenizer.json"


def test_the_head_looks_at_marked_tokens_and_brings_back_what_it_is_told() -> None:
    from tokenizers import Tokenizer  # noqa: PLC0415

    from training.florence.tokenizer import image_token_id  # noqa: PLC0415
    from training.voice.model import WIDTH, Voice, everyday_config  # noqa: PLC0415
    from training.voice.wire import look_at_marked  # noqa: PLC0415

    torch.manual_seed(2)
    tokenizer = Tokenizer.from_file(str(TOKENIZER))
    voice = Voice(everyday_config(tokenizer.get_vocab_size(), image_token_id(tokenizer)), tokenizer).eval()
    attention = voice.florence.model.language_model.decoder.layers[0].encoder_attn
    size, head = attention.head_dim, 2
    before = attention.q_proj.weight.detach().clone()
    told = torch.zeros(WIDTH, WIDTH)
    told[5, 7] = 4.0
    with torch.no_grad():
        voice.relevance.weight.copy_(torch.nn.functional.one_hot(torch.tensor([9]), WIDTH))
    look_at_marked(voice, attention, head, told)

    states = torch.zeros(1, 20, WIDTH)
    states[0, 11, 9], states[0, 11, 7] = 6.0, 1.0
    rows = slice(head * size, (head + 1) * size)
    with torch.no_grad():
        query = attention.q_proj(torch.randn(1, WIDTH))[:, rows] * attention.scaling
        weights = torch.softmax(query @ attention.k_proj(states[0])[:, rows].T, dim=-1)[0]
        brought = attention.out_proj.weight[:, rows] @ attention.v_proj(states[0, 11])[rows]
    assert weights.argmax() == 11
    assert weights[11] > 0.99
    assert brought.argmax() == 5
    assert brought[5] == pytest.approx(2.0, rel=1e-4)
    others = [row for row in range(WIDTH) if not rows.start <= row < rows.stop]
    assert torch.equal(attention.q_proj.weight[others], before[others])
