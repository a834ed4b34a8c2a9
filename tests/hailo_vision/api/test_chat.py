"""Answers, streams and errors as OpenAI specifies them, and every known breakage of other servers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.hailo_florence.api.running import Running
from tests.hailo_vision.api.conftest import CHAT, MODEL, URI, asked, body, events, image, order, post
from tests.hailo_vision.api.shapes import check_chunk, check_completion, check_error


def test_an_answer_has_openais_shape_and_true_counts(vision: Running) -> None:
    reply = post(vision, image("one two three"))
    assert reply.status_code == 200
    value = reply.json()
    check_completion(value)
    assert value["id"].startswith("chatcmpl-")
    assert value["model"] == MODEL
    assert value["choices"][0]["message"]["content"] == "one two three "
    assert value["choices"][0]["finish_reason"] == "stop"
    assert value["usage"]["completion_tokens"] == 4
    assert value["usage"]["prompt_tokens_details"]["image_tokens"] == 4
    performance = value["performance"]
    assert performance["total_ms"] >= performance["inference_time_ms"] >= 1
    assert performance["load_time_ms"] == 0  # the model was there
    assert performance["tokens_per_second"] > 0


def test_cached_tokens_are_told(vision: Running) -> None:
    value = post(vision, order(words=["a"], cached=7)).json()
    assert value["usage"]["prompt_tokens_details"]["cached_tokens"] == 7


def test_the_length_is_honoured_by_both_names_and_clamped(vision: Running) -> None:
    def spoken(**more: Any) -> tuple[int, str]:
        value = post(vision, order(count=600), **more).json()
        return value["usage"]["completion_tokens"], value["choices"][0]["finish_reason"]

    assert spoken(max_tokens=3) == (3, "length")
    assert spoken(max_completion_tokens=4, max_tokens=9) == (4, "length")
    assert (
        spoken(max_tokens=10**9)
        == spoken(max_tokens=-1)
        == spoken()
        == spoken(max_tokens=None)
        == (512, "length")
    )


def test_a_stream_is_what_clients_read(vision: Running) -> None:
    reply = post(vision, order(count=3, word="añ\u2028 "), stream=True)
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.headers["cache-control"] == "no-cache"
    assert reply.headers["x-accel-buffering"] == "no"
    *chunks, done = events(reply.text)
    assert done == "[DONE]"
    for chunk in chunks:
        check_chunk(chunk)
        assert len(chunk["choices"]) == 1
        assert "finish_reason" in chunk["choices"][0]
    assert len({(chunk["id"], chunk["created"]) for chunk in chunks}) == 1
    first, *middle, last = (chunk["choices"][0] for chunk in chunks)
    assert (first["delta"]["role"], first["delta"]["content"]) == ("assistant", "")
    assert "".join(choice["delta"]["content"] for choice in middle) == "añ\u2028 " * 3
    assert {choice["finish_reason"] for choice in (first, *middle)} == {None}
    assert (last["delta"], last["finish_reason"]) == ({}, "stop")


def test_usage_comes_last_and_only_when_asked_for(vision: Running) -> None:
    asked_for = events(post(vision, order(count=2), stream=True, stream_options={"include_usage": True}).text)
    *chunks, usage, done = asked_for
    check_chunk(usage)
    assert (usage["choices"], done) == ([], "[DONE]")
    assert usage["usage"]["completion_tokens"] == 3
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert all(chunk["usage"] is None for chunk in chunks)
    silent = events(post(vision, order(count=2), stream=True, stream_options={}).text)
    assert all("usage" not in chunk for chunk in silent[:-1])


def test_stream_and_answer_agree(vision: Running) -> None:
    whole = post(vision, order(random=30), seed=5).json()["choices"][0]["message"]["content"]
    chunks = events(post(vision, order(random=30), seed=5, stream=True).text)[:-1]
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == whole


def test_without_a_seed_one_is_drawn_and_any_integer_is_one(vision: Running) -> None:
    seeds = {asked(post(vision, order(echo=1)))["seed"] for _ in range(3)}
    assert len(seeds) == 3
    for seed in (0, -1, 2**63, 2**63 - 1, 7.0):
        assert 0 <= asked(post(vision, order(echo=1), seed=seed))["seed"] < 2**63


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("act", "status", "code"),
    [
        ("raise", 500, "inference_failed"),
        ("refuse", 400, "context_length_exceeded"),
        ("die", 503, "engine_lost"),
        ("lose", 503, "device_lost"),
    ],
)
def test_errors_before_the_first_token_have_real_statuses(
    vision: Running, stream: bool, act: str, status: int, code: str
) -> None:
    reply = post(vision, order(act=act), stream=stream)
    assert reply.headers["content-type"] == "application/json"
    check_error(reply.json())
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
    # What will fail again is not to be tried again; what may heal is.
    assert reply.headers.get("x-should-retry") == ("false" if status == 500 else None)
    vision.until_ready()


def test_an_error_in_mid_stream_is_its_last_event(vision: Running) -> None:
    reply = post(vision, order(late_act="raise"), stream=True)
    assert reply.status_code == 200
    *chunks, last = events(reply.text)
    check_chunk(chunks[0])
    check_error(last)
    assert last["error"]["code"] == "inference_failed"
    assert "secret" not in reply.text
    assert post(vision, order(late_act="die"), stream=True).text.count('"engine_lost"') == 1
    vision.until_ready()


def test_a_long_conversation_is_told_with_its_numbers(vision: Running) -> None:
    reply = post(vision, {"role": "user", "content": "a " * 3000})
    error = reply.json()["error"]
    check_error(reply.json())
    assert (reply.status_code, error["code"], error["param"]) == (400, "context_length_exceeded", "messages")
    assert "2048" in error["message"]


@pytest.mark.parametrize("stream", [False, True])
def test_dropped_turns_are_told_in_a_header(vision: Running, stream: bool) -> None:
    reply = post(vision, order(words=["a"], dropped=4), stream=stream)
    assert reply.headers["x-context-dropped-messages"] == "4"
    assert "x-context-dropped-messages" not in post(vision, order(words=["a"]), stream=stream).headers


@pytest.mark.parametrize("name", [MODEL, "fake-vl", "Qwen2-VL-2B-Instruct"])
def test_all_names_of_the_model_are_accepted(vision: Running, name: str) -> None:
    assert post(vision, model=name).status_code == 200


def test_another_models_name_is_404(vision: Running) -> None:
    reply = post(vision, model="gpt-4o")
    check_error(reply.json())
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "model_not_found")
    assert reply.json()["error"]["param"] == "model"
    assert 'no such model here as "gpt-4o"; this service has' in reply.json()["error"]["message"]
    told = post(vision, model="\x1b[31m<b>\n" + "x" * 200).json()["error"]["message"]
    assert f'"??31m?b??{"x" * 91}..."' in told


@pytest.mark.parametrize(
    "more",
    [
        {"temperature": 0.5, "top_p": 0.95, "max_completion_tokens": 4096},
        {"parallel_tool_calls": True, "stream_options": {"include_usage": True}, "user": "me"},
        {"store": False, "metadata": {}, "service_tier": "auto", "reasoning_effort": "low"},
        {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "auto"},
        {"tools": [], "tool_choice": "none", "functions": [], "function_call": "none"},
        {"n": 1, "logprobs": False, "top_logprobs": 0, "modalities": ["text"], "logit_bias": {}},
        {"stop": None, "seed": None, "n": None, "response_format": {"type": "text"}, "audio": None},
        {"unheard_of": {"a": [1]}, "chat_template_kwargs": {"x": 1}, "keep_alive": "5m"},
    ],
    ids=["llm-vision", "local-openai-llm", "openai", "tools", "no-tools", "defaults", "nulls", "unknown"],
)
def test_what_clients_always_send_is_accepted(vision: Running, more: dict[str, Any]) -> None:
    assert post(vision, **more).status_code == 200


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"n": 2}, "n"),
        ({"n": 0}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"logprobs": 1}, "logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"tool_choice": "required", "tools": []}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice"),
        ({"function_call": {"name": "f"}}, "function_call"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"audio": {"voice": "x"}}, "audio"),
        ({"prediction": {"type": "content"}}, "prediction"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"max_completion_tokens": -3}, "max_completion_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"temperature": 2.01}, "temperature"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": 1.1}, "top_p"),
        ({"top_k": -2}, "top_k"),
        ({"seed": 1.5}, "seed"),
        ({"seed": "1"}, "seed"),
        ({"frequency_penalty": 2.5}, "frequency_penalty"),
        ({"presence_penalty": -2.5}, "presence_penalty"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"stop": ["", 5]}, "stop"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"stop": 5}, "stop"),
        ({"stop": {"a": 1}}, "stop"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": []}, "stream_options"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"logit_bias": {"x": 1}}, "logit_bias"),
        ({"logit_bias": {"5": 101}}, "logit_bias"),
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema"),
        ({"model": 5}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "Hi"}, "messages"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_would_be_a_lie_or_is_out_of_range_is_400_naming_the_field(
    vision: Running, more: dict[str, Any], param: str
) -> None:
    reply = vision.client.post(CHAT, json=body() | more)
    check_error(reply.json())
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)
    assert reply.json()["error"]["type"] == "invalid_request_error"


def test_options_reach_the_engine(vision: Running) -> None:
    more = {
        "temperature": 0.5,
        "top_p": 0,
        "top_k": -1,
        "frequency_penalty": 1,
        "presence_penalty": -1,
        "repetition_penalty": 1.1,
        "stop": "END",
        "logit_bias": {"5": -100},
    }
    got = asked(post(vision, order(echo=1), **more))
    assert 0 < got["top_p"] < 0.001
    assert (got["top_k"], got["stop"], got["logit_bias"]) == (0, ["END"], {"5": -100})
    for name in ("temperature", "frequency_penalty", "presence_penalty", "repetition_penalty"):
        assert got[name] == more[name]
    assert (got["context_policy"], got["response_format"], got["max_tokens"]) == ("refuse", None, 512)
    plain = asked(post(vision, order(echo=1)))
    assert (plain["temperature"], plain["top_p"], plain["repetition_penalty"]) == (0, 1, None)


@pytest.mark.parametrize(
    ("content", "texts", "images"),
    [
        ("Hi", ["Hi"], 0),
        ([{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": URI}}], ["a"], 1),
        ([{"type": "image_url", "image_url": URI}], [], 1),
        ([{"type": "image_url", "image_url": {"url": URI, "detail": "low"}}], [], 1),
        ([{"type": "image", "image": URI}], [], 1),
        ([{"type": "image", "image": URI.partition(",")[2]}], [], 1),
        ([{"type": "image", "image_url": {"url": URI}}], [], 1),
        ([{"type": "image", "source": {"type": "base64", "data": URI.partition(",")[2]}}], [], 1),
        ([{"type": "input_image", "image_url": URI}, {"type": "input_text", "text": "b"}], ["b"], 1),
        ([{"type": "image_url", "image_url": {"url": URI}}] * 10, [], 10),
    ],
    ids=lambda value: str(value)[:50],
)
def test_all_forms_of_content_in_their_order(
    vision: Running, content: Any, texts: list[str], images: int
) -> None:
    got = asked(post(vision, {"role": "user", "content": content}, order(echo=1)))["messages"][0]["content"]
    assert [part["text"] for part in got if part["type"] == "text"] == texts
    assert [part["image"] for part in got if part["type"] == "image"] == list(range(images))
    if isinstance(content, list):
        assert [part["type"] == "text" for part in got] == ["text" in part for part in content]


def test_roles_and_names(vision: Running) -> None:
    messages = [
        {"role": "system", "content": "s"},
        {"role": "developer", "content": [{"type": "text", "text": "d"}]},
        {"role": "user", "content": "u", "name": "me"},
        {"role": "assistant", "content": None, "tool_calls": None, "refusal": None},
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": "again"},
    ]
    got = asked(post(vision, *messages, order(echo=1)))["messages"]
    assert [message["role"] for message in got] == [
        *("system", "system", "user", "assistant", "assistant", "user", "user")
    ]


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ("Hi", "messages[1]"),
        ({"content": "Hi"}, "messages[1].role"),
        ({"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}, "messages[1].tool_calls"),
        ({"role": "assistant", "content": None, "tool_calls": {"id": "1"}}, "messages[1].tool_calls"),
        ({"role": ["user"], "content": "x"}, "messages[1].role"),
        ({"role": "user"}, "messages[1].content"),
        ({"role": "user", "content": 5}, "messages[1].content"),
        ({"role": "user", "content": []}, "messages[1].content"),
        ({"role": "user", "content": [5]}, "messages[1].content[0]"),
        ({"role": "user", "content": [{"type": "input_audio"}]}, "messages[1].content[0].type"),
        ({"role": "user", "content": [{"type": "text"}]}, "messages[1].content[0].text"),
        ({"role": "user", "content": [{"type": "image_url"}]}, "messages[1].content[0].image_url"),
        (
            {
                "role": "user",
                "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {}}],
            },
            "messages[1].content[1].image_url",
        ),
        (
            {"role": "system", "content": [{"type": "image_url", "image_url": URI}]},
            "messages[1].content[0].type",
        ),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": URI}] * 17},
            "messages[1].content[16].image_url",
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_bad_message_is_named_exactly(vision: Running, message: Any, param: str) -> None:
    reply = post(vision, {"role": "user", "content": "Hi"}, message)
    check_error(reply.json())
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)


def test_text_only_handshakes_are_answered(vision: Running) -> None:
    """LLM Vision's validation, its title call of two user messages, LiteLLM's health check."""
    assert post(vision, {"role": "user", "content": [{"type": "text", "text": "Hi"}]}).status_code == 200
    twice = [{"role": "user", "content": "one"}, {"role": "user", "content": "two"}]
    assert post(vision, *twice, max_tokens=4096).status_code == 200
    assert post(vision, {"role": "user", "content": "test from litellm"}, max_tokens=5).status_code == 200
    with_key = vision.client.post(CHAT, json=body(), headers={"Authorization": "Bearer anything"})
    assert with_key.status_code == 200
