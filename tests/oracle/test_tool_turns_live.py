"""Conversations with tools as transformers renders them, live."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hailo_vision.text.rendering import render_messages
from hailo_vision.text.template import ChatTemplate
from tests.hailo_vision.conversations import FOLDERS
from tests.hailo_vision.tool_talk import TEMPLATE, TOOL, for_transformers, talk_with_tools

pytestmark = [pytest.mark.oracle, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """That of a small model, for its method only: it takes marks in clients' texts for tokens."""
    return pytest.importorskip("transformers").AutoTokenizer.from_pretrained(FOLDERS["random-a"])


@pytest.mark.parametrize("seed", range(200))
def test_calls_and_results_are_where_transformers_puts_them(tokenizer: Any, seed: int) -> None:
    messages, tools = talk_with_tools(seed), [json.loads(json.dumps(TOOL))] * (seed % 3)
    expected = tokenizer.apply_chat_template(
        for_transformers(messages),
        tools=tools or None,
        chat_template=TEMPLATE,
        add_generation_prompt=True,
        tokenize=False,
    )
    made = render_messages(ChatTemplate(TEMPLATE, "template"), "<", messages, tools)
    assert made.text.translate(made.guard.restored) == expected
