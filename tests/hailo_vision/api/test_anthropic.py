"""Anthropic's Messages API as its documentation describes it: blocks, events, tools, errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from hailo_vision.protocol import call_text
from tests.hailo_florence.api.running import FAKE_VISION, Running, started
from tests.hailo_vision.api.conftest import MODEL, URI, answers_to_anything

PATH = "/v1/messages"
BARE = URI.partition(",")[2]
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": BARE}}
LAMP = {
    "name": "lamp",
    "description": "A lamp.",
    "input_schema": {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"]},
}
ON = call_text("lamp", '{"on": true}')
OFF = call_text("lamp", '{"on": false}')


@pytest.fixture(scope="module")
def constrained() -> Iterator[Running]:
    """The service over an engine that constrains its answers itself, with keys."""
    settings = {"api_keys": ["secret-key-1"]}
    with started(
        FAKE_VISION, "--options", '{"constrained": true}', "--settings", json.dumps(settings)
    ) as running:
        running.client.headers["x-api-key"] = "secret-key-1"
        yield running


def send(running: Running, *messages: Any, **more: Any) -> httpx.Response:
    value = {"model": MODEL, "max_tokens": 500, "messages": list(messages), **more}
    return running.client.post(PATH, json=value, headers={"anthropic-version": "2023-06-01"})


def order(**what: Any) -> dict[str, Any]:
    return {"role": "user", "content": json.dumps(what)}


def spoken(text: str) -> dict[str, Any]:
    return order(words=list(text))


def check_message(value: dict[str, Any]) -> None:
    assert value["id"].startswith("msg_")
    assert (value["type"], value["role"], value["model"]) == ("message", "assistant", MODEL)
    assert value["stop_sequence"] is None
    check_usage(value["usage"])


def check_usage(value: dict[str, Any]) -> None:
    for name in ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens"):
        assert isinstance(value[name], int)


def check_error(reply: httpx.Response, status: int, kind: str) -> str:
    value = reply.json()
    assert (reply.status_code, value["type"], value["error"]["type"]) == (status, "error", kind)
    assert value["request_id"] == reply.headers["x-request-id"]
    return str(value["error"]["message"])


def stream_of(reply: httpx.Response) -> list[dict[str, Any]]:
    """The events; each one's name is its type."""
    assert reply.headers["content-type"].startswith("text/event-stream")
    found = []
    for each in reply.text.split("\n\n")[:-1]:
        name, data = each.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def put_together(told: list[dict[str, Any]]) -> dict[str, Any]:
    """The message that a stream tells, in the order of its events."""
    assert told[0]["type"] == "message_start"
    message = told[0]["message"]
    check_message(message)
    assert (message["content"], message["stop_reason"]) == ([], None)
    open_block, arguments = -1, ""
    for event in told[1:-2]:
        if event["type"] == "ping":
            continue
        if event["type"] == "content_block_start":
            assert (open_block, event["index"]) == (-1, len(message["content"]))
            open_block, arguments = event["index"], ""
            message["content"].append(event["content_block"])
        assert event["index"] == open_block
        block = message["content"][open_block]
        if event["type"] == "content_block_delta" and event["delta"]["type"] == "text_delta":
            block["text"] += event["delta"]["text"]
        elif event["type"] == "content_block_delta":
            arguments += event["delta"]["partial_json"]
        elif event["type"] == "content_block_stop":
            open_block = -1
            if block["type"] == "tool_use":
                block["input"] = json.loads(arguments or "{}")
    assert open_block == -1
    assert [event["type"] for event in told[-2:]] == ["message_delta", "message_stop"]
    check_usage(told[-2]["usage"])
    return {**message, **told[-2]["delta"], "usage": told[-2]["usage"]}


def heard(running: Running, *messages: Any, stream: bool, **more: Any) -> dict[str, Any]:
    reply = send(running, *messages, stream=stream, **more)
    assert reply.status_code == 200, reply.text
    value = put_together(stream_of(reply)) if stream else dict(reply.json())
    check_message(value)
    return value


def blocks(value: dict[str, Any]) -> list[Any]:
    """Texts, and (name, input) of calls."""
    for block in value["content"]:
        assert block["type"] == "text" or block["id"].startswith("toolu_")
    return [
        block["text"] if block["type"] == "text" else (block["name"], block["input"])
        for block in value["content"]
    ]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("backend", ["constrained", "vision"])
@pytest.mark.parametrize(
    ("said", "more", "content", "reason"),
    [
        ("one two", {}, ["one two"], "end_turn"),
        ("one two", {"max_tokens": 3}, ["one"], "max_tokens"),
        ("", {}, [""], "end_turn"),
        (f"{ON}\n{OFF}", {"tools": [LAMP]}, [("lamp", {"on": True}), ("lamp", {"on": False})], "tool_use"),
        (f"Well.{ON}", {"tools": [LAMP]}, ["Well.", ("lamp", {"on": True})], "tool_use"),
        (ON, {"tools": [LAMP], "tool_choice": {"type": "any"}}, [("lamp", {"on": True})], "tool_use"),
        (
            ON,
            {"tools": [LAMP], "tool_choice": {"type": "tool", "name": "lamp"}},
            [("lamp", {"on": True})],
            "tool_use",
        ),
        ("Hi", {"tools": [LAMP], "tool_choice": {"type": "none"}}, ["Hi"], "end_turn"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_an_answer_is_in_blocks(
    request: pytest.FixtureRequest,
    backend: str,
    said: str,
    more: Any,
    content: Any,
    *,
    reason: str,
    stream: bool,
) -> None:
    value = heard(request.getfixturevalue(backend), spoken(said), stream=stream, **more)
    assert (blocks(value), value["stop_reason"]) == (content, reason)


def test_usage_counts_what_was_computed_before_apart(vision: Running) -> None:
    usage = heard(vision, order(words=["a"], cached=7), stream=False)["usage"]
    assert usage["cache_read_input_tokens"] == 7
    told = stream_of(send(vision, order(words=["a"], cached=7), stream=True))
    assert told[0]["message"]["usage"] == {**usage, "output_tokens": 0}
    assert told[-2]["usage"] == usage


def echoed(running: Running, *messages: Any, **more: Any) -> dict[str, Any]:
    (block,) = heard(running, *messages, order(echo=1), stream=False, **more)["content"]
    return dict(json.loads(block["text"]))


def test_texts_images_and_system_reach_the_model(vision: Running) -> None:
    asking = {
        "role": "user",
        "content": [IMAGE, {"type": "text", "text": "What?", "cache_control": {"type": "ephemeral"}}],
    }
    system = [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be true."}]
    got = echoed(
        vision, asking, {"role": "assistant", "content": [{"type": "text", "text": "A."}]}, system=system
    )
    assert [message["role"] for message in got["messages"]] == ["system", "user", "assistant", "user"]
    assert [part["type"] for part in got["messages"][1]["content"]] == ["image", "text"]
    assert "".join(part["text"] for part in got["messages"][0]["content"]) == "Be brief.\nBe true."
    assert echoed(vision, system="Hi")["messages"][0]["content"][0]["text"] == "Hi"


def test_options_reach_the_engine(vision: Running) -> None:
    more = {"temperature": 0.5, "top_p": 0.9, "top_k": 7, "stop_sequences": ["END"], "max_tokens": 9}
    ignored = {"metadata": {"user_id": "u"}, "thinking": {"type": "adaptive"}, "service_tier": "auto"}
    got = echoed(vision, **more, **ignored)
    for name, value in {**more, "stop": ["END"]}.items():
        assert name == "stop_sequences" or got[name] == value


@pytest.mark.parametrize("name", ["output_config", "output_format"])
def test_json_by_a_schema(vision: Running, name: str) -> None:
    kind = {"type": "json_schema", "schema": {"type": "object", "required": ["a"]}}
    more = {name: {"format": kind} if name == "output_config" else kind}
    assert blocks(heard(vision, spoken('{"a": 1}'), stream=False, **more)) == ['{"a": 1}']
    assert "two tries" in check_error(send(vision, spoken("no"), **more), 502, "api_error")


def test_calls_and_results_of_a_conversation_are_read(vision: Running) -> None:
    result = {"type": "tool_result", "tool_use_id": "toolu_1"}
    messages = [
        {"role": "user", "content": "Light"},
        {
            "role": "assistant",
            "content": [
                {"type": "redacted_thinking", "data": "x"},
                {"type": "tool_use", "id": "toolu_1", "name": "lamp", "input": {"on": True}},
            ],
        },
        {
            "role": "user",
            "content": [
                {**result, "content": [{"type": "text", "text": "done"}, IMAGE]},
                {"type": "text", "text": "So?"},
            ],
        },
        {"role": "user", "content": [{**result, "content": "done"}, {**result}]},
    ]
    got = echoed(vision, *messages)["messages"]
    texts = [[part.get("text", part["type"]) for part in message["content"]] for message in got]
    assert texts[:-1] == [["Light"], [], ["done", "image"], ["So?"], ["done"], [""]]
    assert got[1]["calls"] == [["toolu_1", "lamp", {"on": True}]]
    assert [message.get("result") for message in got[2:6]] == [["toolu_1", ""], None, *[["toolu_1", ""]] * 2]


def test_tokens_are_counted_without_an_answer(vision: Running) -> None:
    asking = {"role": "user", "content": [IMAGE, {"type": "text", "text": "What is it?"}]}
    before = vision.client.get("/metrics", headers={"Accept": "application/json"}).json()
    counted = vision.client.post(f"{PATH}/count_tokens", json={"model": MODEL, "messages": [asking]}).json()
    assert counted == {"input_tokens": heard(vision, asking, stream=False)["usage"]["input_tokens"]}
    assert vision.health()["queue"] == {**vision.health()["queue"], "waiting": 0, "running": 0}
    assert before


@pytest.mark.parametrize(
    ("change", "status", "kind", "words"),
    [
        ({"model": "claude-x"}, 404, "not_found_error", MODEL),
        ({"messages": []}, 400, "invalid_request_error", "messages"),
        ({"max_tokens": 0}, 400, "invalid_request_error", "max_tokens"),
        ({"system": 5}, 400, "invalid_request_error", "system"),
        ({"system": [{"type": "image"}]}, 400, "invalid_request_error", "system"),
        ({"stop_sequences": [5]}, 400, "invalid_request_error", "stop_sequences"),
        (
            {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
            400,
            "invalid_request_error",
            "tools[0].type",
        ),
        ({"tool_choice": {"type": "tool", "name": "x"}}, 400, "invalid_request_error", "tool_choice"),
        ({"output_config": {"format": {"type": "x"}}}, 400, "invalid_request_error", "output_config.format"),
        ({"mcp_servers": [{"url": "http://x"}]}, 400, "invalid_request_error", "MCP"),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image", "source": {"type": "url", "url": "http://x/y.jpg"}}],
                    }
                ]
            },
            400,
            "invalid_request_error",
            "fetches",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_use"}]}]},
            400,
            "invalid_request_error",
            "tool_calls",
        ),
        ({"messages": [order(act="raise")]}, 500, "api_error", ""),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_error_has_anthropics_form(
    vision: Running, change: dict[str, Any], status: int, kind: str, words: str
) -> None:
    assert words in check_error(send(vision, order(count=1), **change), status, kind)


def test_other_errors_have_it_too(vision: Running, constrained: Running) -> None:
    check_error(vision.client.post(PATH, content=b"{"), 400, "invalid_request_error")
    check_error(vision.client.post(f"{PATH}/batches", json={}), 404, "not_found_error")
    check_error(vision.client.get(PATH), 405, "invalid_request_error")
    check_error(
        constrained.client.post(PATH, json={}, headers={"x-api-key": "wrong"}), 401, "authentication_error"
    )
    check_error(
        vision.client.post(PATH, json={}, headers={"Origin": "http://evil.example"}), 403, "permission_error"
    )


def test_an_error_in_a_stream_is_its_last_event(vision: Running) -> None:
    *_, last = stream_of(send(vision, order(words=["a ", "b "], late_act="raise"), stream=True))
    assert (last["type"], last["error"]["type"]) == ("error", "api_error")


@pytest.mark.parametrize("path", ["/messages", "/anthropic/v1/messages", "/v1/v1/messages", "/v1/messages/"])
def test_other_forms_of_the_address_mean_it(vision: Running, path: str) -> None:
    value = {"messages": [{"role": "user", "content": "one"}]}
    assert vision.client.post(path, json=value).json()["type"] == "message"


FIELDS: dict[str, list[Any]] = {
    "model": [MODEL, "", None, 5, []],
    "messages": [
        [],
        None,
        "x",
        [{}],
        [{"role": "user", "content": [IMAGE]}],
        [order(count=2)],
        [{"role": "user", "content": [{"type": "tool_result"}, {"type": "tool_use", "name": "x"}]}],
    ],
    "system": ["s", None, 5, [{}], [{"type": "text", "text": "x"}], ["x"], {"a": 1}],
    "max_tokens": [1, 5, None, -1, 0, "x", 1e9],
    "stream": [True, False, None, 1],
    "temperature": [0, 1, 3, "x"],
    "stop_sequences": [["a"], [], None, "x" * 300, [5]],
    "tools": [[LAMP], [], None, [{}], [{"name": "x", "input_schema": {"$ref": "#"}}], [{"type": "computer"}]],
    "tool_choice": [
        {"type": "any"},
        {"type": "tool", "name": "lamp"},
        None,
        5,
        {"type": "auto", "disable_parallel_tool_use": 5},
    ],
    "output_config": [
        {},
        None,
        {"format": None},
        {"format": {"type": "json_schema", "schema": {}}},
        [],
        {"format": 5},
    ],
}


@pytest.mark.parametrize("path", [PATH, f"{PATH}/count_tokens"])
def test_whatever_comes_the_answer_is_one_that_is_documented(vision: Running, path: str) -> None:
    answers_to_anything(vision, path, FIELDS, path)
