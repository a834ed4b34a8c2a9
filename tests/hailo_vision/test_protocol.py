"""Requests that no worker should send, refused with the name of the field."""

from __future__ import annotations

from typing import Any

import pytest

from hailo_common.errors import InvalidParameter
from hailo_vision.protocol import ChatMessage, parse_request
from tests.hailo_vision.talk import question, say


def refused(param: str, **fields: Any) -> None:
    with pytest.raises(InvalidParameter) as caught:
        parse_request(question("Hi", **fields), 1)
    assert caught.value.param == param


def test_everything_that_can_be_asked() -> None:
    made = parse_request(
        {
            "messages": [say("system", "Be short."), say("user", "a", 1, "b"), say("assistant", "c")],
            "max_tokens": 7,
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 5,
            "seed": -1,
            "frequency_penalty": -2,
            "presence_penalty": 2,
            "repetition_penalty": 1.1,
            "stop": ["\n"],
            "response_format": {"type": "text"},
            "context_policy": "drop_oldest",
            "logit_bias": {"5": -100, "7": 1.5},
        },
        2,
    )
    assert made.messages[1] == ChatMessage("user", ("a", 1, "b"))
    assert made.sampling.seed == 2**64 - 1
    assert made.sampling.bias == {5: -100.0, 7: 1.5}
    assert (made.max_tokens, made.stops, made.policy) == (7, ("\n",), "drop_oldest")


def test_what_is_not_said() -> None:
    made = parse_request({"messages": [say("user", "a")], "max_tokens": None, "stop": None}, 0)
    assert (made.max_tokens, made.stops, made.policy, made.response_format) == (None, (), "refuse", None)
    assert made.sampling.repetition is None
    assert made.sampling.temperature == 0


@pytest.mark.parametrize(
    ("param", "fields"),
    [
        ("messages", {"messages": []}),
        ("messages", {"messages": "Hi"}),
        ("messages[0].role", {"messages": [say("tool", "Hi")]}),
        ("messages[0].role", {"messages": ["Hi"]}),
        ("messages[1].content", {"messages": [say("user"), {"role": "user", "content": "Hi"}]}),
        ("messages[0].content[1]", {"messages": [say("user", "a", 1)]}),
        ("messages[0].content[0]", {"messages": [say("user", -1)]}),
        ("messages[0].content[0]", {"messages": [say("user", "\ud800")]}),
        ("messages[0].content[0]", {"messages": [{"role": "user", "content": [None]}]}),
        ("max_tokens", {"max_tokens": 0}),
        ("max_tokens", {"max_tokens": 2.5}),
        ("temperature", {"temperature": -0.1}),
        ("temperature", {"temperature": float("nan")}),
        ("temperature", {"temperature": "hot"}),
        ("top_p", {"top_p": 1.1}),
        ("top_k", {"top_k": -1}),
        ("seed", {"seed": 2**63}),
        ("frequency_penalty", {"frequency_penalty": 2.1}),
        ("presence_penalty", {"presence_penalty": True}),
        ("repetition_penalty", {"repetition_penalty": 0}),
        ("repetition_penalty", {"repetition_penalty": "none"}),
        ("stop", {"stop": "END"}),
        ("stop", {"stop": [""]}),
        ("stop", {"stop": ["x"] * 17}),
        ("stop", {"stop": ["\ud800"]}),
        ("response_format", {"response_format": "json"}),
        ("context_policy", {"context_policy": "summarise"}),
        ("logit_bias", {"logit_bias": {"word": 1}}),
        ("logit_bias[5]", {"logit_bias": {"5": 101}}),
    ],
)
def test_refusals(param: str, fields: dict[str, Any]) -> None:
    refused(param, **fields)
