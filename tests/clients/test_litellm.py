"""LiteLLM as a library, which also stands behind its proxy."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from tests.clients.conftest import CIRCLE, NOT_IN_DEBIAN, PAIR, ask

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
pytest.importorskip("litellm", reason=NOT_IN_DEBIAN)

import litellm

pytestmark = pytest.mark.filterwarnings("ignore")  # of libraries that are not ours
MODEL = "openai/qwen2-vl-2b-instruct"
COLORS = {"type": "object", "properties": {"color": {"enum": ["red", "blue"]}}, "required": ["color"]}
SHAPE = {"type": "function", "function": {"name": "shape", "parameters": COLORS}}


def test_completion(base_url: str) -> None:
    answer = litellm.completion(
        MODEL,
        messages=ask("What color is the circle?", CIRCLE),
        api_base=base_url,
        api_key="any",
        temperature=0,
    )
    assert answer.choices[0].message.content == "red"
    assert answer.usage.completion_tokens == 2


def test_streaming(base_url: str) -> None:
    chunks = litellm.completion(
        MODEL, messages=ask("Describe the image.", PAIR), api_base=base_url, api_key="any", stream=True
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == "A red circle to the left of a blue square."


@pytest.mark.parametrize(
    "provider", ["hosted_vllm", "lm_studio", "llamafile", "ollama", "ollama_chat", "azure"]
)
def test_its_providers_of_servers_like_this(base_url: str, provider: str) -> None:
    answer: Any = litellm.completion(
        f"{provider}/qwen2-vl-2b-instruct",
        messages=ask("What color is the circle?", CIRCLE),
        api_base=base_url.removesuffix("/v1") if provider in ("ollama", "ollama_chat", "azure") else base_url,
        api_key="any",
        temperature=0,
        **({"api_version": "2025-04-01-preview"} if provider == "azure" else {}),
    )
    assert answer.choices[0].message.content == "red"


def test_a_tool_that_must_be_called(base_url: str) -> None:
    pytest.importorskip("llguidance", reason="llguidance comes with `make venv`; Debian 13 has none")
    answer: Any = litellm.completion(
        MODEL,
        messages=ask("What color is the circle?", CIRCLE),
        tools=[SHAPE],
        tool_choice="required",
        parallel_tool_calls=False,
        api_base=base_url,
        api_key="any",
        temperature=0,
    )
    (call,) = answer.choices[0].message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("shape", {"color": "red"})


def test_its_health_check(base_url: str) -> None:
    answer = litellm.completion(
        MODEL,
        messages=[{"role": "user", "content": "test from litellm"}],
        max_tokens=5,
        api_base=base_url,
        api_key="any",
    )
    assert answer.choices[0].finish_reason == "length"


def test_its_bridge_to_the_newer_apis(base_url: str) -> None:
    """Responses and Anthropic's messages, which it translates or passes on."""
    answer: Any = litellm.responses(model=MODEL, input="Hi", api_base=base_url, api_key="any")
    assert "demo model" in str(answer.output)
    text: Any = litellm.text_completion(model=MODEL, prompt="Hi", api_base=base_url, api_key="any")
    assert "demo model" in text.choices[0].text
    told = litellm.completion(
        "anthropic/qwen2-vl-2b-instruct",
        messages=ask("What color is the circle?", CIRCLE),
        api_base=base_url.removesuffix("/v1"),
        api_key="any",
    )
    assert told.choices[0].message.content == "red"
