"""OpenAI's official client and its Responses API: whole, as events, parsed, with tools, going on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.conftest import CIRCLE, NOT_IN_DEBIAN, PAIR
from tests.clients.test_openai import MODEL, Seen
from tests.hailo_florence.api.running import Running

pytest.importorskip("openai", reason=NOT_IN_DEBIAN)

import openai
from openai import AsyncOpenAI, AzureOpenAI, OpenAI

pytestmark = pytest.mark.filterwarnings("ignore")  # of libraries that are not ours
SHAPE: Any = {
    "type": "function",
    "name": "shape",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"color": {"enum": ["red", "green", "blue"]}},
        "required": ["color"],
        "additionalProperties": False,
    },
}
NAMED: Any = {"type": "function", "name": "shape"}


def ask(text: str, *images: str) -> Any:
    """One message as this API has it."""
    parts = [{"type": "input_image", "image_url": image, "detail": "auto"} for image in images]
    return [{"role": "user", "content": [*parts, {"type": "input_text", "text": text}]}]


@pytest.fixture(scope="module")
def client(base_url: str) -> Iterator[OpenAI]:
    """A client that checks every answer against its own types."""
    with OpenAI(base_url=base_url, api_key="any", _strict_response_validation=True, max_retries=0) as made:
        yield made


def test_a_question_and_a_follow_up_get_true_answers(client: OpenAI) -> None:
    first = client.responses.create(
        model=MODEL, input=ask("What color is the circle?", CIRCLE), temperature=0
    )
    assert (first.output_text, first.status, first.model) == ("red", "completed", MODEL)
    assert first.usage is not None
    assert first.usage.output_tokens == 2
    second = client.responses.create(
        model=MODEL, input="How many objects are there?", previous_response_id=first.id, temperature=0
    )
    assert second.output_text == "1"
    assert client.responses.retrieve(first.id).output_text == "red"
    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)


def test_events_arrive_as_the_clients_own_kinds_and_in_order(client: OpenAI) -> None:
    stream = client.responses.create(
        model=MODEL, input=ask("Describe the image.", PAIR), temperature=0, stream=True
    )
    told = list(stream)
    assert [event.sequence_number for event in told] == list(range(len(told)))
    assert [type(event).__name__ for event in (told[0], told[1], told[2], told[3])] == [
        "ResponseCreatedEvent",
        "ResponseInProgressEvent",
        "ResponseOutputItemAddedEvent",
        "ResponseContentPartAddedEvent",
    ]
    assert [type(event).__name__ for event in told[-4:]] == [
        "ResponseTextDoneEvent",
        "ResponseContentPartDoneEvent",
        "ResponseOutputItemDoneEvent",
        "ResponseCompletedEvent",
    ]
    pieces = [event.delta for event in told[4:-4] if event.type == "response.output_text.delta"]
    assert len(pieces) > 3
    assert "".join(pieces) == "A red circle to the left of a blue square."


def test_the_clients_stream_helper_makes_the_same(client: OpenAI) -> None:
    with client.responses.stream(
        model=MODEL, input=ask("What color is the circle?", CIRCLE), temperature=0
    ) as stream:
        for _ in stream:
            pass
        assert stream.get_final_response().output_text == "red"


def test_structured_output_is_parsed(client: OpenAI) -> None:
    answer = client.responses.parse(
        model=MODEL,
        input=ask("Answer as JSON with the keys color and shape.", CIRCLE),
        text_format=Seen,
        temperature=0,
    )
    assert answer.output_parsed == Seen(color="red", shape="circle")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("choice", [NAMED, "required"])
def test_a_forced_tool_is_called_and_its_output_read(client: OpenAI, choice: Any, stream: bool) -> None:
    pytest.importorskip("llguidance", reason="llguidance comes with `make venv`; Debian 13 has none")
    more: Any = {"tools": [SHAPE], "tool_choice": choice, "parallel_tool_calls": False, "temperature": 0}
    question = ask("What color is the circle?", CIRCLE)
    if stream:
        with client.responses.stream(model=MODEL, input=question, **more) as told:
            kinds = [event.type for event in told]
            answer: Any = told.get_final_response()
        assert "response.function_call_arguments.delta" in kinds
    else:
        answer = client.responses.create(model=MODEL, input=question, **more)
    (call,) = answer.output
    assert (call.type, call.name, json.loads(call.arguments)) == ("function_call", "shape", {"color": "red"})
    told_back: Any = [{"type": "function_call_output", "call_id": call.call_id, "output": "red"}]
    after = client.responses.create(
        model=MODEL, input=told_back, previous_response_id=answer.id, tools=[SHAPE], temperature=0
    )
    assert after.output_text


def test_errors_arrive_as_the_clients_own_kinds(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        client.responses.create(model="gpt-nothing", input="Hi")
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as bad:
        client.responses.create(model=MODEL, input="Hi", background=True)
    assert bad.value.param == "background"


def test_async_and_azures_clients_are_served(vision: Running, base_url: str) -> None:
    async def one() -> str:
        async with AsyncOpenAI(base_url=base_url, api_key="any") as client:
            answer = await client.responses.create(model=MODEL, input="Hi", store=False)
            return answer.output_text

    assert "demo model" in asyncio.run(one())
    address = f"http://127.0.0.1:{vision.port}"
    with AzureOpenAI(azure_endpoint=address, api_key="any", api_version="2025-04-01-preview") as azure:
        messages: Any = [{"role": "user", "content": "Hi"}]
        answer = azure.chat.completions.create(model=MODEL, messages=messages)
        assert "demo model" in (answer.choices[0].message.content or "")
        assert "demo model" in azure.responses.create(model=MODEL, input="Hi").output_text


def test_the_older_api_answers_a_prompt(client: OpenAI, base_url: str) -> None:
    answer = client.completions.create(model=MODEL, prompt="Hi", temperature=0)
    assert "demo model" in answer.choices[0].text
    # The client's own type has no null for a chunk's finish reason, which OpenAI sends.
    with OpenAI(base_url=base_url, api_key="any") as lenient:
        told = lenient.completions.create(model=MODEL, prompt="Hi", temperature=0, stream=True)
        assert "".join(chunk.choices[0].text for chunk in told) == answer.choices[0].text
