"""LlamaIndex's client of compatible servers."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel

from tests.clients.conftest import NOT_IN_DEBIAN, RED, drawn
from tests.hailo_florence.api.running import Running

pytest.importorskip("llama_index.llms.openai_like", reason=NOT_IN_DEBIAN)

from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock
from llama_index.llms.openai_like import OpenAILike

pytestmark = pytest.mark.filterwarnings("ignore")  # of libraries that are not ours
FILE = drawn(("circle", RED, 240))
COLOR = [ImageBlock(image=FILE), TextBlock(text="What color is the circle?")]


class Seen(BaseModel):
    """What is in the image."""

    color: Literal["red", "green", "blue"]
    shape: Literal["circle", "square", "star"]


def made(base_url: str, **more: Any) -> OpenAILike:
    return OpenAILike(
        model="qwen2-vl-2b-instruct", api_base=base_url, api_key="any", temperature=0, max_retries=0, **more
    )


def test_an_image_block_whole_and_as_it_comes(base_url: str) -> None:
    model = made(base_url, is_chat_model=True)
    message = ChatMessage(role="user", blocks=COLOR)
    assert model.chat([message]).message.content == "red"
    assert "".join(part.delta or "" for part in model.stream_chat([message])) == "red"


def test_its_default_asks_the_older_api(base_url: str) -> None:
    model = made(base_url)
    assert "demo model" in model.complete("Hi").text
    assert "demo model" in "".join(part.delta or "" for part in model.stream_complete("Hi"))


@pytest.mark.parametrize("way", ["is_function_calling_model", "should_use_structured_outputs"])
def test_an_answer_of_a_type(base_url: str, way: str) -> None:
    """Called as a function, and as JSON."""
    pytest.importorskip("llguidance", reason="llguidance comes with `make venv`; Debian 13 has none")
    model = made(base_url, is_chat_model=True, **{way: True})
    text = TextBlock(text="Answer as JSON with the keys color and shape.")
    message = ChatMessage(role="user", blocks=[ImageBlock(image=FILE), text])
    assert model.as_structured_llm(Seen).chat([message]).raw == Seen(color="red", shape="circle")


def test_an_answer_of_a_type_by_words_alone(base_url: str, vision: Running) -> None:
    """Its default, which demands a tool where it has none, and tells the model of the type in a text.

    That text is more than the demo model can read; what is seen here is that it is answered.
    """
    model = made(base_url, is_chat_model=True)
    with pytest.raises(ValueError, match="Could not extract json"):
        model.as_structured_llm(Seen).chat([ChatMessage(role="user", blocks=COLOR)])
    assert "status=200" in vision.log.splitlines()[-1]
