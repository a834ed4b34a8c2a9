"""OpenAI's Responses API: items, numbered events in their published order, what is kept, whose it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from hailo_common.images.decoder import EncodedImage
from hailo_vision.api.responses.store import LIMIT, MOST_IMAGES, OwnedResponses, StoredResponse
from hailo_vision.protocol import ChatMessage, call_text
from tests.hailo_florence.api.running import FAKE_VISION, Running, started
from tests.hailo_vision.api.conftest import MODEL, URI, answers_to_anything
from tests.hailo_vision.api.shapes import check_error, has

PATH = "/v1/responses"
LAMP = {
    "type": "function",
    "name": "lamp",
    "parameters": {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"]},
    "strict": True,
}
ON = call_text("lamp", '{"on": true}')
OFF = call_text("lamp", '{"on": false}')
PICTURE = {"type": "input_image", "image_url": URI, "detail": "auto"}
TEXT_EVENTS = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]
CALL_EVENTS = [
    "response.output_item.added",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.output_item.done",
]


@pytest.fixture(scope="module")
def constrained() -> Iterator[Running]:
    """The service over an engine that constrains its answers itself, for clients with keys."""
    settings = {"api_keys": ["key-of-one-0", "key-of-two-0"]}
    options = ("--options", '{"constrained": true}', "--settings", json.dumps(settings))
    with started(FAKE_VISION, *options) as running:
        running.client.headers["authorization"] = "Bearer key-of-one-0"
        yield running


def order(**what: Any) -> str:
    return json.dumps(what)


def spoken(text: str) -> str:
    return order(words=list(text))


def send(running: Running, given: Any, **more: Any) -> httpx.Response:
    value = {"model": MODEL, "input": given, "max_output_tokens": 500, **more}
    return running.client.post(PATH, json=value)


def check_response(value: dict[str, Any]) -> None:
    """A `Response` with what its schema requires, and the parts of it that clients read."""
    has(value, {"id": str, "created_at": int, "model": str, "output": list, "tools": list, "metadata": dict})
    assert value["id"].startswith("resp_")
    assert (value["object"], value["model"], value["error"]) == ("response", MODEL, None)
    assert isinstance(value["parallel_tool_calls"], bool)
    for name in ("instructions", "incomplete_details", "previous_response_id", "tool_choice", "text"):
        assert name in value
    if value["status"] == "in_progress":
        assert value["usage"] is None
        return
    usage = value["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert usage["input_tokens_details"]["cached_tokens"] >= 0
    assert usage["output_tokens_details"] == {"reasoning_tokens": 0}


def stream_of(reply: httpx.Response) -> list[dict[str, Any]]:
    """The events, whose names are their types and whose numbers count from 0."""
    assert reply.status_code == 200, reply.text
    found = []
    for each in reply.text.split("\n\n")[:-1]:
        if each.startswith(":"):
            continue
        name, data = each.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    return found


def put_together(told: list[dict[str, Any]]) -> dict[str, Any]:
    """The response that a stream tells; what its events say piece by piece is what its end says whole."""
    assert [event["type"] for event in told[:2]] == TEXT_EVENTS[:2]
    for event in told[:2]:
        check_response(event["response"])
        assert event["response"]["output"] == []
    final = dict(told[-1]["response"])
    assert told[-1]["type"] == f"response.{final['status']}"
    items: list[dict[str, Any]] = []
    pieces = ""
    for event in told[2:-1]:
        kind = event["type"].removeprefix("response.")
        place = len(items)
        assert event["output_index"] == place
        if kind == "output_item.added":
            assert event["item"]["status"] == "in_progress"
            pieces, identity = "", event["item"]["id"]
        elif kind == "output_item.done":
            assert event["item"]["id"] == identity
            items.append(event["item"])
        else:
            assert event["item_id"] == identity
            pieces += event.get("delta", "")
        if kind.endswith("text.done") or kind.endswith("arguments.done"):
            assert event.get("text", event.get("arguments")) == pieces
    assert items == final["output"]
    return final


def heard(running: Running, given: Any, *, stream: bool = False, **more: Any) -> dict[str, Any]:
    reply = send(running, given, stream=stream, **more)
    assert reply.status_code == 200, reply.text
    value = put_together(stream_of(reply)) if stream else dict(reply.json())
    check_response(value)
    return value


def items(value: dict[str, Any]) -> list[Any]:
    """Texts, and (name, arguments) of calls."""
    found: list[Any] = []
    for item in value["output"]:
        if item["type"] == "message":
            assert (item["role"], item["id"][:4]) == ("assistant", "msg_")
            (part,) = item["content"]
            assert (part["type"], part["annotations"]) == ("output_text", [])
            found.append(part["text"])
        else:
            assert (item["type"], item["id"][:3], item["call_id"][:5]) == ("function_call", "fc_", "call_")
            found.append((item["name"], json.loads(item["arguments"])))
    return found


def echoed(running: Running, given: Any, **more: Any) -> dict[str, Any]:
    """What the engine was asked."""
    listed = given if isinstance(given, list) else [given]
    (text,) = items(heard(running, [*listed, {"role": "user", "content": order(echo=1)}], **more))
    return dict(json.loads(text))


def contents(got: dict[str, Any]) -> list[tuple[str, list[Any]]]:
    return [
        (message["role"], [part.get("text", part["type"]) for part in message["content"]])
        for message in got["messages"]
    ]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("backend", ["constrained", "vision"])
@pytest.mark.parametrize(
    ("said", "more", "output"),
    [
        ("one two", {}, ["one two"]),
        ("", {}, [""]),
        (f"{ON}\n{OFF}", {"tools": [LAMP]}, [("lamp", {"on": True}), ("lamp", {"on": False})]),
        (f"Well.{ON}", {"tools": [LAMP]}, ["Well.", ("lamp", {"on": True})]),
        (ON, {"tools": [LAMP], "tool_choice": "required"}, [("lamp", {"on": True})]),
        (
            ON,
            {"tools": [LAMP], "tool_choice": {"type": "function", "name": "lamp"}},
            [("lamp", {"on": True})],
        ),
    ],
    ids=lambda value: str(value)[:30],
)
def test_an_answer_is_made_of_items(
    request: pytest.FixtureRequest, backend: str, said: str, more: Any, output: Any, *, stream: bool
) -> None:
    value = heard(request.getfixturevalue(backend), spoken(said), stream=stream, **more)
    assert (items(value), value["status"]) == (output, "completed")
    assert value["incomplete_details"] is None


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_ran_out_of_tokens_is_incomplete(constrained: Running, stream: bool) -> None:
    value = heard(constrained, spoken("one two"), stream=stream, max_output_tokens=3)
    assert (items(value), value["status"]) == (["one"], "incomplete")
    assert value["incomplete_details"] == {"reason": "max_output_tokens"}
    assert value["output"][0]["status"] == "incomplete"


def test_events_come_in_the_published_order(constrained: Running) -> None:
    told = [event["type"] for event in stream_of(send(constrained, spoken("ab"), stream=True))]
    at = told.index("response.output_text.delta")
    assert told[:at] + told[at + told.count("response.output_text.delta") - 1 :] == TEXT_EVENTS
    told = [event["type"] for event in stream_of(send(constrained, spoken(ON), tools=[LAMP], stream=True))]
    once = [kind for number, kind in enumerate(told) if kind != told[number - 1]]
    assert once == [*TEXT_EVENTS[:2], *CALL_EVENTS, TEXT_EVENTS[-1]]


def test_an_error_in_a_stream_is_its_last_event(vision: Running) -> None:
    told = stream_of(send(vision, order(words=["a ", "b "], late_act="raise"), stream=True))
    assert told[-1]["type"] == "error"
    assert {"code", "message", "param"} <= set(told[-1])


def test_texts_images_and_instructions_reach_the_model(vision: Running) -> None:
    asking = {
        "type": "message",
        "role": "user",
        "content": [PICTURE, {"type": "input_text", "text": "What?"}],
    }
    answer = {
        "type": "message",
        "id": "msg_1",
        "status": "completed",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "A.", "annotations": [], "logprobs": []}],
    }
    call = {"type": "function_call", "call_id": "call_1", "name": "lamp", "arguments": '{"on": true}'}
    told = {"type": "function_call_output", "call_id": "call_1", "output": "done"}
    shown = {**told, "output": [{"type": "input_text", "text": "see"}, PICTURE]}
    thought = {"type": "reasoning", "id": "rs_1", "summary": []}
    got = echoed(vision, [asking, thought, answer, call, call, told, shown], instructions="Be brief.")
    assert contents(got)[:-1] == [
        ("system", ["Be brief."]),
        ("user", ["image", "What?"]),
        ("assistant", ["A."]),
        ("user", ["done"]),
        ("user", ["see", "image"]),
    ]
    assert got["messages"][2]["calls"] == [["call_1", "lamp", {"on": True}]] * 2
    assert [message.get("result") for message in got["messages"][3:5]] == [["call_1", ""]] * 2


def test_options_reach_the_engine_and_are_repeated(vision: Running) -> None:
    more = {
        "temperature": 0.5,
        "top_p": 0.9,
        "max_output_tokens": 9,
        "truncation": "auto",
        "metadata": {"a": "b"},
        "parallel_tool_calls": False,
        "user": "me",
        "instructions": "Be brief.",
    }
    reply = send(vision, order(echo=1), **more, reasoning={"effort": "low"}, include=["x"])
    got = json.loads(items(reply.json())[0])
    assert (got["temperature"], got["top_p"], got["max_tokens"]) == (0.5, 0.9, 9)
    assert got["context_policy"] == "drop_oldest"
    assert {name: reply.json()[name] for name in more} == more
    tools = send(vision, order(count=1), tools=[LAMP, {"type": "function", "name": "bell"}]).json()["tools"]
    assert [(tool["name"], tool["strict"]) for tool in tools] == [("lamp", True), ("bell", False)]


def test_structured_output_is_held_to_its_schema(vision: Running, constrained: Running) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    kind = {"format": {"type": "json_schema", "name": "x", "schema": schema, "strict": True}}
    assert items(heard(vision, spoken('{"a": 1}'), text=kind)) == ['{"a": 1}']
    got = echoed(constrained, {"role": "user", "content": "Hi"}, text=kind)["response_format"]
    assert got["schema"] == {**schema, "additionalProperties": False}
    reply = send(vision, spoken("no"), text={"format": {"type": "json_object"}})
    check_error(reply.json())
    assert (reply.status_code, reply.json()["error"]["code"]) == (502, "invalid_structured_output")


@pytest.mark.parametrize("stream", [False, True])
def test_a_conversation_goes_on_from_an_answer_with_its_images(vision: Running, stream: bool) -> None:
    asking = [{"role": "user", "content": [PICTURE, {"type": "input_text", "text": "one two"}]}]
    first = heard(vision, asking, instructions="Only now.", stream=stream)
    second = heard(vision, "three", previous_response_id=first["id"], stream=stream)
    assert second["previous_response_id"] == first["id"]
    got = echoed(vision, {"role": "user", "content": [PICTURE]}, previous_response_id=second["id"])
    assert contents(got)[:-1] == [
        ("user", ["image", "one two"]),
        ("assistant", ["one two "]),
        ("user", ["three"]),
        ("assistant", ["three "]),
        ("user", ["image"]),
    ]
    numbers = [part["image"] for message in got["messages"] for part in message["content"] if "image" in part]
    assert numbers == [0, 1]


def test_a_conversation_with_calls_goes_on(vision: Running) -> None:
    first = heard(vision, spoken(f"Well.{ON}"), tools=[LAMP])
    call_id = first["output"][1]["call_id"]
    told = {"type": "function_call_output", "call_id": call_id, "output": "done"}
    got = echoed(vision, told, previous_response_id=first["id"])
    assert contents(got)[1:3] == [("assistant", ["Well."]), ("user", ["done"])]
    assert got["messages"][1]["calls"] == [[call_id, "lamp", {"on": True}]]
    assert got["messages"][2]["result"] == [call_id, ""]


def test_an_answer_can_be_had_again_and_forgotten(vision: Running) -> None:
    value = heard(vision, "one")
    at = f"{PATH}/{value['id']}"
    assert vision.client.get(at).json() == value
    assert vision.client.delete(at).json() == {"id": value["id"], "object": "response", "deleted": True}
    for reply in (vision.client.get(at), vision.client.delete(at)):
        check_error(reply.json())
        assert (reply.status_code, reply.json()["error"]["code"]) == (404, "response_not_found")
    reply = send(vision, "two", previous_response_id=value["id"])
    check_error(reply.json())
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "previous_response_not_found")


@pytest.mark.parametrize("stream", [False, True])
def test_the_head_of_an_answer_names_it_for_a_gateway(vision: Running, stream: bool) -> None:
    reply = send(vision, "one", stream=stream)
    value = put_together(stream_of(reply)) if stream else reply.json()
    assert reply.headers["x-response-id"] == value["id"]


def test_with_store_false_nothing_is_kept(vision: Running) -> None:
    reply = send(vision, "one", store=False)
    value = reply.json()
    assert value["store"] is False
    assert "x-response-id" not in reply.headers
    assert vision.client.get(f"{PATH}/{value['id']}").status_code == 404
    assert send(vision, "two", previous_response_id=value["id"]).status_code == 400


def test_nobody_sees_the_answers_of_another_key(constrained: Running) -> None:
    value = heard(constrained, "one")
    other = {"authorization": "Bearer key-of-two-0"}
    at = f"{PATH}/{value['id']}"
    for method in ("GET", "DELETE"):
        assert constrained.client.request(method, at, headers=other).status_code == 404
    asking = {"input": "two", "previous_response_id": value["id"]}
    reply = constrained.client.post(PATH, json=asking, headers=other)
    assert reply.json()["error"]["code"] == "previous_response_not_found"
    assert constrained.client.get(at).json() == value


def stored(text: str, *sizes: int) -> StoredResponse:
    images = [EncodedImage(b"x" * size) for size in sizes]
    return StoredResponse((ChatMessage("user", (text,)),), images, b"{}")


def test_what_is_kept_is_bounded_in_bytes_and_files() -> None:
    mine = OwnedResponses(1000)
    for number in range(5):
        mine.keep(f"r{number}", stored("x", 300))
        assert mine.held <= 1000
    assert [mine.get(f"r{number}") is not None for number in range(5)] == [False, False, True, True, True]
    kept = mine.get("r2")
    assert kept is not None
    mine.keep("r5", stored("x", 300))
    assert mine.get("r3") is None
    large = stored("x" * 200, 300)
    mine.keep("large", large)
    assert (mine.get("large"), large.images[0].fd) == (None, -1)
    mine.resize(0)
    assert (mine.held, kept.images[0].fd, mine.get("r2")) == (0, -1, None)
    many = OwnedResponses(LIMIT)
    for number in range(10):
        many.keep(f"r{number}", stored("x", *([1] * 16)))
    assert sum(many.get(f"r{number}") is not None for number in range(10)) == MOST_IMAGES // 16
    many.resize(0)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": [5]}, "input[0]"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
        ({"input": [{"type": "web_search_call"}]}, "input[0].type"),
        ({"input": [{"type": "function_call"}]}, "input[0].tool_calls"),
        (
            {"input": [{"role": "user", "content": [{**PICTURE, "image_url": "http://x/y"}]}]},
            "input[0].content[0].image_url",
        ),
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"include": ["message.output_text.logprobs"]}, "include"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"truncation": "x"}, "truncation"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.schema"),
        ({"text": {"format": 5}}, "text.format"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tool_choice": "required", "tools": []}, "tool_choice"),
        ({"metadata": {"a": 5}}, "metadata"),
        ({"previous_response_id": 5}, "previous_response_id"),
        ({"instructions": 5}, "instructions"),
        ({"screenshot": URI}, "screenshot"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_wrong_or_not_there_is_named(vision: Running, change: dict[str, Any], param: str) -> None:
    reply = vision.client.post(PATH, json={"input": "Hi", **change})
    check_error(reply.json())
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)


def test_what_is_not_done_is_a_clear_501(vision: Running) -> None:
    value = heard(vision, "one")
    for reply in (
        vision.client.get(f"{PATH}/{value['id']}/input_items"),
        vision.client.post(f"{PATH}/{value['id']}/cancel"),
        vision.client.post(f"{PATH}/input_tokens", json={}),
    ):
        check_error(reply.json())
        assert reply.status_code == 501


@pytest.mark.parametrize(
    "path", ["/responses", "/openai/v1/responses", "/openai/responses", "/v1/responses/"]
)
def test_other_forms_of_the_address_mean_it(vision: Running, path: str) -> None:
    assert vision.client.post(path, json={"input": "one"}).json()["object"] == "response"


FIELDS: dict[str, list[Any]] = {
    "model": [MODEL, "", None, 5, []],
    "input": [
        "Hi",
        [],
        None,
        5,
        [{}],
        [{"role": "user", "content": [PICTURE]}],
        [{"type": "function_call", "name": "x"}],
    ],
    "instructions": ["s", None, 5, ""],
    "max_output_tokens": [1, 5, None, -1, "x"],
    "stream": [True, False, None, 1],
    "store": [True, False, None, "x"],
    "previous_response_id": ["resp_x", None, 5, ""],
    "text": [
        {},
        None,
        {"format": {"type": "json_object"}},
        {"format": {"type": "json_schema", "schema": {"$ref": "#"}}},
        5,
    ],
    "tools": [[LAMP], [], None, [{}], "x", [{"type": "mcp"}]],
    "tool_choice": [
        "auto",
        "required",
        {"type": "function", "name": "lamp"},
        None,
        5,
        {"type": "allowed_tools"},
    ],
    "truncation": ["auto", "disabled", None, 5],
    "metadata": [{}, {"a": "b"}, None, [], {"a": 1}],
    "include": [[], None, 5, ["x"]],
}


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_comes_the_answer_is_one_that_is_documented(vision: Running, seed: int) -> None:
    answers_to_anything(vision, PATH, FIELDS, seed)
