"""OpenAI's Agents SDK, whose default is the Responses API."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from tests.clients.conftest import CIRCLE, NOT_IN_DEBIAN, PAIR
from tests.clients.test_responses import ask

pytest.importorskip("agents", reason=NOT_IN_DEBIAN)

from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    RunConfig,
    Runner,
    function_tool,
)
from openai import AsyncOpenAI

pytestmark = pytest.mark.filterwarnings("ignore")  # of libraries that are not ours
COLOR = ask("What color is the circle?", CIRCLE)
QUIET = RunConfig(tracing_disabled=True)


class Seen(BaseModel):
    """What is in the image."""

    color: Literal["red", "green", "blue"]
    shape: Literal["circle", "square", "star"]


def agent(base_url: str, kind: Any = OpenAIResponsesModel, **more: Any) -> Any:
    client = AsyncOpenAI(base_url=base_url, api_key="any", max_retries=0)
    settings = ModelSettings(temperature=0, tool_choice=more.pop("tool_choice", None))
    return Agent(name="eyes", model=kind("qwen2-vl-2b-instruct", client), model_settings=settings, **more)


def answered(asked: Any, question: Any) -> Any:
    return asyncio.run(Runner.run(asked, question, max_turns=3, run_config=QUIET)).final_output


@pytest.mark.parametrize("kind", [OpenAIResponsesModel, OpenAIChatCompletionsModel])
def test_a_question_gets_a_true_answer(base_url: str, kind: Any) -> None:
    assert answered(agent(base_url, kind), COLOR) == "red"


def test_it_comes_in_pieces(base_url: str) -> None:
    async def told() -> tuple[str, str]:
        run = Runner.run_streamed(agent(base_url), ask("Describe the image.", PAIR), run_config=QUIET)
        raw = [event.data async for event in run.stream_events() if event.type == "raw_response_event"]
        pieces = [each.delta for each in raw if each.type == "response.output_text.delta"]
        return "".join(pieces), run.final_output

    assert asyncio.run(told()) == ("A red circle to the left of a blue square.",) * 2


def test_an_answer_of_a_type(base_url: str) -> None:
    question = ask("Answer as JSON with the keys color and shape.", CIRCLE)
    assert answered(agent(base_url, output_type=Seen), question) == Seen(color="red", shape="circle")


def test_a_tool_is_called_and_its_result_read(base_url: str) -> None:
    pytest.importorskip("llguidance", reason="llguidance comes with `make venv`; Debian 13 has none")
    seen = []

    @function_tool
    def shape(color: Literal["red", "green", "blue"]) -> str:
        """Take down the color."""
        seen.append(color)
        return "noted"

    assert answered(agent(base_url, tools=[shape], tool_choice="required"), COLOR)
    assert set(seen) == {"red"}
