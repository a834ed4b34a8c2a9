"""Anthropic's official client: whole, as events, with tools, counting, and its own kinds of errors."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.conftest import NOT_IN_DEBIAN, RED, drawn
from tests.clients.test_openai import MODEL
from tests.hailo_florence.api.running import Running

pytest.importorskip("anthropic", reason=NOT_IN_DEBIAN)

import base64

import anthropic
from anthropic import Anthropic, AsyncAnthropic

pytestmark = pytest.mark.filterwarnings("ignore")  # of libraries that are not ours
SOURCE = {
    "type": "base64",
    "media_type": "image/png",
    "data": base64.b64encode(drawn(("circle", RED, 240))).decode(),
}
SHAPE: Any = {
    "name": "shape",
    "input_schema": {
        "type": "object",
        "properties": {"color": {"enum": ["red", "green", "blue"]}},
        "required": ["color"],
    },
}


def asking(text: str) -> Any:
    parts = [{"type": "image", "source": SOURCE}, {"type": "text", "text": text}]
    return {
        "model": MODEL,
        "max_tokens": 64,
        "messages": [{"role": "user", "content": parts}],
    }


@pytest.fixture(scope="module")
def client(vision: Running) -> Iterator[Anthropic]:
    """A client that checks every answer against its own types."""
    address = f"http://127.0.0.1:{vision.port}"
    with Anthropic(base_url=address, api_key="any", max_retries=0, _strict_response_validation=True) as made:
        yield made


def test_a_question_gets_a_true_answer(client: Anthropic) -> None:
    answer = client.messages.create(**asking("What color is the circle?"))
    assert [block.model_dump(exclude_none=True) for block in answer.content] == [
        {"type": "text", "text": "red"}
    ]
    assert (answer.stop_reason, answer.model) == ("end_turn", MODEL)
    assert answer.usage.output_tokens == 2
    assert answer.usage.input_tokens + (answer.usage.cache_read_input_tokens or 0) > 48


def test_streaming_says_the_same_in_pieces(client: Anthropic) -> None:
    with client.messages.stream(**asking("Describe the image.")) as stream:
        pieces = list(stream.text_stream)
        final = stream.get_final_message()
    assert len(pieces) > 3
    assert "".join(pieces) == client.messages.create(**asking("Describe the image.")).content[0].text
    assert final.stop_reason == "end_turn"
    assert final.usage.output_tokens > 3


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "shape"}])
def test_a_forced_tool_is_used(client: Anthropic, choice: Any, stream: bool) -> None:
    pytest.importorskip("llguidance", reason="llguidance comes with `make venv`; Debian 13 has none")
    wanted = {**asking("What color is the circle?"), "tools": [SHAPE], "tool_choice": choice}
    wanted["tool_choice"] = {**choice, "disable_parallel_tool_use": True}
    if stream:
        with client.messages.stream(**wanted) as told:
            answer: Any = told.get_final_message()
    else:
        answer = client.messages.create(**wanted)
    (use,) = answer.content
    assert (use.type, use.name, use.input, answer.stop_reason) == (
        "tool_use",
        "shape",
        {"color": "red"},
        "tool_use",
    )
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "red"}
    question = wanted["messages"]
    more: Any = [
        *question,
        {"role": "assistant", "content": answer.content},
        {"role": "user", "content": [result, {"type": "text", "text": "How many objects are there?"}]},
    ]
    assert client.messages.create(**{**asking(""), "messages": more, "tools": [SHAPE]}).content


def test_tokens_are_counted(client: Anthropic) -> None:
    wanted = asking("What color is the circle?")
    counted = client.messages.count_tokens(model=MODEL, messages=wanted["messages"])
    usage = client.messages.create(**wanted).usage
    assert counted.input_tokens == usage.input_tokens + (usage.cache_read_input_tokens or 0)


def test_errors_arrive_as_the_clients_own_kinds(client: Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match=MODEL):
        client.messages.create(**{**asking("Hi"), "model": "claude-nothing"})
    with pytest.raises(anthropic.BadRequestError, match="max_tokens"):
        client.messages.create(**{**asking("Hi"), "max_tokens": 0})


def test_async_clients_are_served(vision: Running) -> None:
    async def ask() -> Any:
        async with AsyncAnthropic(base_url=f"http://127.0.0.1:{vision.port}", api_key="any") as client:
            return await client.messages.create(**asking("What color is the circle?"))

    assert asyncio.run(ask()).content[0].text == "red"
