"""Tools through the official client: the demo model is made to call, held to the schema by the grammar."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.clients.conftest import CIRCLE, NOT_IN_DEBIAN, ask
from tests.clients.test_openai import MODEL

pytest.importorskip("openai", reason=NOT_IN_DEBIAN)
pytest.importorskip("llguidance", reason="llguidance comes with `make venv`; Debian 13 has none")

from openai import OpenAI

pytestmark = pytest.mark.filterwarnings("ignore")  # of libraries that are not ours
SHAPE: Any = {
    "type": "function",
    "function": {
        "name": "shape",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"color": {"enum": ["red", "green", "blue"]}},
            "required": ["color"],
            "additionalProperties": False,
        },
    },
}
NAMED: Any = {"type": "function", "function": {"name": "shape"}}


@pytest.fixture(scope="module")
def client(base_url: str) -> Any:
    """A client that checks every answer against its own types."""
    with OpenAI(base_url=base_url, api_key="any", _strict_response_validation=True, max_retries=0) as made:
        yield made


@pytest.mark.parametrize("choice", [NAMED, "required"])
def test_a_forced_tool_is_called_with_what_the_image_shows(client: OpenAI, choice: Any) -> None:
    answer = client.chat.completions.create(
        model=MODEL,
        messages=ask("What color is the circle?", CIRCLE),
        tools=[SHAPE],
        tool_choice=choice,
        parallel_tool_calls=False,
        temperature=0,
    )
    (choice_made,) = answer.choices
    (call,) = choice_made.message.tool_calls or []
    assert call.type == "function"
    assert (call.function.name, json.loads(call.function.arguments)) == ("shape", {"color": "red"})
    assert choice_made.finish_reason == ("stop" if choice is NAMED else "tool_calls")


def test_the_clients_own_stream_helper_puts_a_call_together(client: OpenAI) -> None:
    with client.chat.completions.stream(
        model=MODEL,
        messages=ask("What color is the circle?", CIRCLE),
        tools=[SHAPE],
        tool_choice=NAMED,
        temperature=0,
    ) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert "tool_calls.function.arguments.delta" in kinds
    assert "tool_calls.function.arguments.done" in kinds
    (call,) = final.choices[0].message.tool_calls or []
    assert call.function.parsed_arguments == {"color": "red"}


def test_a_conversation_with_calls_and_their_results_goes_on(client: OpenAI) -> None:
    called: Any = {"id": "call_1", "type": "function", "function": {"name": "shape", "arguments": "{}"}}
    messages = [
        *ask("What color is the circle?", CIRCLE),
        {"role": "assistant", "content": None, "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "call_1", "content": "red"},
        {"role": "user", "content": "How many objects are there?"},
    ]
    answer = client.chat.completions.create(model=MODEL, messages=messages, tools=[SHAPE], temperature=0)
    assert answer.choices[0].message.content
    assert not answer.choices[0].message.tool_calls
