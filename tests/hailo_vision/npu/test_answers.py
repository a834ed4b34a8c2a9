"""The chip's answers are the CPU's, in every kind of conversation, whole and streamed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hailo_vision.onnx.engine import OnnxVisionEngine
from tests.hailo_vision.api.conftest import events
from tests.hailo_vision.conversations import Conversation, conversations
from tests.hailo_vision.npu.serving import CHAT, Npu, body, content, frame, scene, truth, user
from tests.hailo_vision.talk import ask

TALKS = [talk for talk in conversations("demo", 24, 11) if talk.penalty is None]


def sent(talk: Conversation) -> list[dict[str, Any]]:
    """The messages of a conversation as a client sends them."""
    return [
        {**message, "content": [_sent(part, talk) for part in message["content"]]}
        for message in talk.messages
    ]


def _sent(part: dict[str, Any], talk: Conversation) -> dict[str, Any]:
    if part["type"] == "text":
        return part
    (made,) = user(scene(talk.images[part["image"]][2]))["content"]
    return dict(made)


def expected(cpu: OnnxVisionEngine, talk: Conversation) -> dict[str, Any]:
    """The CPU's result when pictures come first in each message."""
    messages = [
        {**message, "content": sorted(message["content"], key=lambda part: part["type"] == "text")}
        for message in talk.messages
    ]
    images = [frame(scene(number)) for _, _, number in talk.images]
    return ask(cpu, {"messages": messages, "max_tokens": talk.max_tokens, "temperature": 0}, *images)


@pytest.mark.parametrize("talk", TALKS, ids=lambda talk: talk.kind)
def test_every_kind_of_conversation(npu: Npu, cpu: OnnxVisionEngine, talk: Conversation) -> None:
    value = npu.post(sent(talk), max_tokens=talk.max_tokens).json()
    wanted = expected(cpu, talk)
    assert value["choices"][0]["message"]["content"] == wanted["text"]
    assert value["choices"][0]["finish_reason"] == wanted["finish_reason"]
    usage = value["usage"]
    assert usage["prompt_tokens"] == wanted["prompt_tokens"]
    assert usage["completion_tokens"] == wanted["completion_tokens"]
    assert usage["prompt_tokens_details"]["image_tokens"] == wanted["image_tokens"]


def test_many_scenes(npu: Npu, cpu: OnnxVisionEngine) -> None:
    numbers = range(20, 44)
    answers = {number: content(npu.describe(number)) for number in numbers}
    assert answers == {number: truth(cpu, number) for number in numbers}


@pytest.mark.parametrize("number", [3, 4])
def test_a_stream_says_the_same(npu: Npu, cpu: OnnxVisionEngine, number: int) -> None:
    request = body([user(scene(number), "Describe the image.")], stream=True)
    request["stream_options"] = {"include_usage": True}
    *chunks, usage, done = events(npu.service.client.post(CHAT, json=request).text)
    said = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks]
    assert ("".join(said), done) == (truth(cpu, number), "[DONE]")
    assert sum(map(bool, said)) > 5
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    whole = npu.describe(number).json()["usage"]
    assert {name: usage["usage"][name] for name in ("prompt_tokens", "completion_tokens")} == {
        name: whole[name] for name in ("prompt_tokens", "completion_tokens")
    }


@pytest.mark.parametrize("length", [1, 2, 5])
def test_an_answer_that_is_cut(npu: Npu, cpu: OnnxVisionEngine, length: int) -> None:
    value = npu.describe(5, max_tokens=length).json()
    whole = truth(cpu, 5)
    said = value["choices"][0]["message"]["content"]
    assert (said == whole[: len(said)], len(said) < len(whole)) == (True, True)
    assert value["choices"][0]["finish_reason"] == "length"
    assert value["usage"]["completion_tokens"] == length
    assert content(npu.describe(6)) == truth(cpu, 6)


def test_an_end_that_falls_on_the_limit_is_an_end(npu: Npu, cpu: OnnxVisionEngine) -> None:
    value = npu.describe(7).json()
    tokens = value["usage"]["completion_tokens"]
    again = npu.describe(7, max_tokens=tokens).json()
    assert again["choices"] == value["choices"]
    assert again["choices"][0]["finish_reason"] == "stop"
    assert again["usage"]["completion_tokens"] == tokens
    assert again["choices"][0]["message"]["content"] == truth(cpu, 7)


@pytest.mark.parametrize("stop", ["square", " and", ["nowhere", "a "], ["."]], ids=json.dumps)
def test_stop_strings(npu: Npu, cpu: OnnxVisionEngine, stop: str | list[str]) -> None:
    whole = truth(cpu, 20)
    stops = [stop] if isinstance(stop, str) else stop
    cut = min((whole.find(each) for each in stops if each in whole), default=len(whole))
    value = npu.describe(20, stop=stop).json()
    assert value["choices"][0]["message"]["content"] == whole[:cut]
    assert value["choices"][0]["finish_reason"] == "stop"
    assert 1 <= value["usage"]["completion_tokens"] < 64
    assert content(npu.describe(21)) == truth(cpu, 21)
