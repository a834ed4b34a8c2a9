"""LlamaIndex's client of compatible servers."""

from __future__ import annotations

import pytest

from tests.clients.conftest import NOT_IN_DEBIAN, RED, drawn

pytest.importorskip("llama_index.llms.openai_like", reason=NOT_IN_DEBIAN)

from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock
from llama_index.llms.openai_like import OpenAILike

pytestmark = pytest.mark.filterwarnings("ignore")  # of libraries that are not ours
FILE = drawn(("circle", RED, 240))


def test_an_image_block_whole_and_as_it_comes(base_url: str) -> None:
    model = OpenAILike(
        model="qwen2-vl-2b-instruct", api_base=base_url, api_key="any", is_chat_model=True, temperature=0
    )
    blocks = [ImageBlock(image=FILE), TextBlock(text="What color is the circle?")]
    message = ChatMessage(role="user", blocks=blocks)
    assert model.chat([message]).message.content == "red"
    assert "".join(part.delta or "" for part in model.stream_chat([message])) == "red"
