"""smolagents: its model of compatible servers, and its agents, whose prompts fill thousands of tokens."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.clients.conftest import CIRCLE, NOT_IN_DEBIAN, PAIR, ask
from tests.hailo_florence.api.running import Running

pytest.importorskip("smolagents", reason=NOT_IN_DEBIAN)

from smolagents import AgentGenerationError, OpenAIServerModel, ToolCallingAgent, tool

pytestmark = pytest.mark.filterwarnings("ignore")  # of libraries that are not ours


def model(base_url: str) -> Any:
    return OpenAIServerModel("qwen2-vl-2b-instruct", api_base=base_url, api_key="any", temperature=0)


def test_a_question_whole_as_it_comes_and_stopped(base_url: str) -> None:
    asking = model(base_url)
    assert asking(ask("What color is the circle?", CIRCLE)).content == "red"
    question = ask("Describe the image.", PAIR)
    told = "".join(part.content or "" for part in asking.generate_stream(question))
    assert told == "A red circle to the left of a blue square."
    assert asking(question, stop_sequences=["circle"]).content == "A red "


def test_a_tool_that_must_be_called(base_url: str) -> None:
    """What its agents fall back on: `required`, with arguments held to the tool's own schema."""
    pytest.importorskip("llguidance", reason="llguidance comes with `make venv`; Debian 13 has none")
    said = model(base_url)(ask("What color is the circle?", CIRCLE), tools_to_call_from=[shape])
    (call,) = said.tool_calls
    assert call.function.name == "shape"
    arguments = json.loads(call.function.arguments)
    assert (set(arguments), type(arguments["color"])) == ({"color"}, bool)


@tool  # type: ignore[untyped-decorator]
def shape(color: bool) -> str:
    """Say whether it has a color.

    Args:
        color: whether it has one
    """
    return str(color)


def test_an_agents_prompt_fits_the_models_context(everyday: Running) -> None:
    """The model of shapes counts 2213 tokens in it and holds 2048. What is called is one of the tools."""
    agent = ToolCallingAgent(
        [shape], model(f"http://127.0.0.1:{everyday.port}/v1"), max_steps=1, verbosity_level=0
    )
    assert agent.run("Who are you?")
    (step,) = agent.memory.steps[1:2]
    assert not isinstance(step.error, AgentGenerationError), step.error
    assert {call.name for call in step.tool_calls or ()} <= {"shape", "final_answer"}
    assert step.token_usage.input_tokens > 1000
