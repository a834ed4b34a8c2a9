"""langchain-openai with nothing changed but the base URL."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import BaseModel, SecretStr

from tests.clients.conftest import CIRCLE, NOT_IN_DEBIAN, PAIR, ask
from tests.hailo_florence.api.running import Running

pytest.importorskip("langchain_openai", reason=NOT_IN_DEBIAN)

from langchain_core.messages import HumanMessage
from langchain_openai import AzureChatOpenAI, ChatOpenAI

pytestmark = pytest.mark.filterwarnings("ignore")  # of libraries that are not ours


class Seen(BaseModel):
    """The asked form of an answer."""

    color: Literal["red", "green", "blue"]
    shape: Literal["circle", "square", "star"]


@pytest.fixture(scope="module")
def chat(base_url: str) -> ChatOpenAI:
    """As its documentation says for a compatible server."""
    return ChatOpenAI(
        base_url=base_url, api_key=SecretStr("any"), model="qwen2-vl-2b-instruct", temperature=0
    )


def _message(text: str, image: str) -> HumanMessage:
    return HumanMessage(content=ask(text, image)[0]["content"])


def test_invoke(chat: ChatOpenAI) -> None:
    answer = chat.invoke([_message("What color is the circle?", CIRCLE)])
    assert answer.content == "red"
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] == 2


def test_stream(chat: ChatOpenAI) -> None:
    pieces = [str(chunk.content) for chunk in chat.stream([_message("Describe the image.", PAIR)])]
    assert "".join(pieces) == "A red circle to the left of a blue square."


def test_structured_output(chat: ChatOpenAI) -> None:
    asking = chat.with_structured_output(Seen, method="json_schema")
    found = asking.invoke([_message("Answer as JSON with the keys color and shape.", CIRCLE)])
    assert found == Seen(color="red", shape="circle")


@pytest.mark.parametrize("responses", [False, True])
def test_structured_output_by_calling_a_function(base_url: str, responses: bool) -> None:
    """Its method that forces a tool, over both of OpenAI's APIs."""
    pytest.importorskip("llguidance", reason="llguidance comes with `make venv`; Debian 13 has none")
    chat = ChatOpenAI(
        base_url=base_url,
        api_key=SecretStr("any"),
        model="qwen2-vl-2b-instruct",
        temperature=0,
        use_responses_api=responses,
    )
    asking = chat.with_structured_output(Seen, method="function_calling")
    found = asking.invoke([_message("Answer as JSON with the keys color and shape.", CIRCLE)])
    assert found == Seen(color="red", shape="circle")
    assert "red" in str(chat.invoke([_message("What color is the circle?", CIRCLE)]).content)


def test_an_agent_answers_in_a_type(chat: ChatOpenAI) -> None:
    agents = pytest.importorskip("langchain.agents", reason=NOT_IN_DEBIAN)
    pytest.importorskip("llguidance", reason="llguidance comes with `make venv`; Debian 13 has none")
    agent = agents.create_agent(chat, tools=[], response_format=Seen)
    asked = [_message("Answer as JSON with the keys color and shape.", CIRCLE)]
    assert agent.invoke({"messages": asked})["structured_response"] == Seen(color="red", shape="circle")


def test_azures_and_ollamas_classes(vision: Running) -> None:
    """Nothing but the address is another."""
    ollama = pytest.importorskip("langchain_ollama", reason=NOT_IN_DEBIAN)
    address, name = f"http://127.0.0.1:{vision.port}", "qwen2-vl-2b-instruct"
    azure = AzureChatOpenAI(
        azure_endpoint=address,
        api_key=SecretStr("any"),
        api_version="2025-04-01-preview",
        azure_deployment=name,
        temperature=0,
    )
    chats = (
        azure,
        ollama.ChatOllama(base_url=address, model=name, temperature=0, validate_model_on_init=True),
    )
    for chat in chats:
        message = _message("What color is the circle?", CIRCLE)
        assert chat.invoke([message]).content == "red"
        assert "".join(str(part.content) for part in chat.stream([message])) == "red"
