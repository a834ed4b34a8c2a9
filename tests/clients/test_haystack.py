"""haystack's generators, over both of OpenAI's APIs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.conftest import CIRCLE, NOT_IN_DEBIAN, PAIR

pytest.importorskip("haystack", reason=NOT_IN_DEBIAN)

from haystack.components.generators import chat
from haystack.dataclasses import ChatMessage, ImageContent
from haystack.tools.tool import Tool
from haystack.utils import Secret

pytestmark = pytest.mark.filterwarnings("ignore")  # of libraries that are not ours
COLORS: dict[str, Any] = {
    "type": "object",
    "properties": {"color": {"type": "string", "enum": ["red", "green", "blue"]}},
    "required": ["color"],
    "additionalProperties": False,
}


def message(text: str, image: str) -> Any:
    picture = ImageContent(image.partition(",")[2], mime_type="image/png")
    return ChatMessage.from_user(content_parts=[text, picture])


@pytest.fixture(params=["OpenAIChatGenerator", "OpenAIResponsesChatGenerator"])
def generator(request: pytest.FixtureRequest, base_url: str) -> Any:
    """Makes one, with what it is given besides."""

    def made(**more: Any) -> Any:
        return getattr(chat, request.param)(
            api_key=Secret.from_token("any"), model="qwen2-vl-2b-instruct", api_base_url=base_url, **more
        )

    return made


def test_a_question_whole_and_as_it_comes(generator: Any) -> None:
    (reply,) = generator().run([message("What color is the circle?", CIRCLE)])["replies"]
    assert reply.text == "red"
    pieces: list[str] = []
    asking = generator(streaming_callback=lambda chunk: pieces.append(chunk.content))
    (reply,) = asking.run([message("Describe the image.", PAIR)])["replies"]
    assert reply.text == "".join(pieces) == "A red circle to the left of a blue square."
    assert len([piece for piece in pieces if piece]) > 3


def test_a_tool_that_must_be_called(generator: Any) -> None:
    pytest.importorskip("llguidance", reason="llguidance comes with `make venv`; Debian 13 has none")
    shape = Tool(name="shape", description="", parameters=COLORS, function=print)
    asking = generator(generation_kwargs={"tool_choice": "required", "parallel_tool_calls": False})
    (reply,) = asking.run([message("What color is the circle?", CIRCLE)], tools=[shape])["replies"]
    assert [(call.tool_name, call.arguments) for call in reply.tool_calls] == [("shape", {"color": "red"})]
