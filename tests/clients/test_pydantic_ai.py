"""pydantic-ai over both of OpenAI's APIs, with its default way to an answer of a type, and the others."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from tests.clients.conftest import NOT_IN_DEBIAN, RED, drawn

pytest.importorskip("pydantic_ai", reason=NOT_IN_DEBIAN)

from pydantic_ai import Agent, BinaryContent, NativeOutput
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

pytestmark = pytest.mark.filterwarnings("ignore")  # of libraries that are not ours
FILE = BinaryContent(drawn(("circle", RED, 240)), media_type="image/png")


class Seen(BaseModel):
    """What is in the image."""

    color: Literal["red", "green", "blue"]
    shape: Literal["circle", "square", "star"]


APIS = pytest.mark.parametrize("api", [OpenAIChatModel, OpenAIResponsesModel])


def answered(base_url: str, question: str, api: Any, **options: Any) -> Any:
    model = api("qwen2-vl-2b-instruct", provider=OpenAIProvider(base_url=base_url, api_key="any"))
    agent: Any = Agent(model, **options)
    return asyncio.run(agent.run([question, FILE], model_settings={"temperature": 0})).output


@APIS
def test_a_question_about_a_file(base_url: str, api: Any) -> None:
    assert answered(base_url, "What color is the circle?", api) == "red"


@APIS
@pytest.mark.parametrize("way", [Seen, NativeOutput(Seen)], ids=["default", "native"])
def test_an_answer_of_a_type(base_url: str, api: Any, way: Any) -> None:
    pytest.importorskip("llguidance", reason="llguidance comes with `make venv`; Debian 13 has none")
    question = "Answer as JSON with the keys color and shape."
    assert answered(base_url, question, api, output_type=way) == Seen(color="red", shape="circle")
