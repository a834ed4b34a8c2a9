"""The events of /v1/responses, one by one, held to the types that OpenAI publishes in its own package."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args

import pytest

from hailo_vision.protocol import call_text
from tests.clients.conftest import CIRCLE, NOT_IN_DEBIAN
from tests.hailo_florence.api.running import FAKE_VISION, Running, started

pytest.importorskip("openai", reason=NOT_IN_DEBIAN)

from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel

pytestmark = pytest.mark.filterwarnings("ignore")  # of libraries that are not ours
KINDS: dict[str, type[BaseModel]] = {
    kind: model
    for model in get_args(get_args(ResponseStreamEvent)[0])
    for kind in get_args(model.model_fields["type"].annotation)
}
OURS = {"performance", "store"}
"""Fields of a response that the types do not have: the service's own, and one that OpenAI's answers have."""
LAMP = {
    "type": "function",
    "name": "lamp",
    "description": "Switches the lamp.",
    "parameters": {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"]},
    "strict": True,
}
ON, OFF = (call_text("lamp", json.dumps({"on": on})) for on in (True, False))
TEXT = ["content_part.added", "output_text.delta*", "output_text.done", "content_part.done"]
CALL = ["function_call_arguments.delta*", "function_call_arguments.done"]


@pytest.fixture(scope="module")
def constrained() -> Iterator[Running]:
    """The service over an engine that says what it is told to."""
    with started(FAKE_VISION, "--options", '{"constrained": true}') as running:
        yield running


def said(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": json.dumps({"words": list(text)})}]


def events_of(running: Running, **body: Any) -> list[dict[str, Any]]:
    """The events of a stream, each checked alone."""
    body = {"model": "qwen2-vl-2b-instruct", "stream": True, "max_output_tokens": 500, **body}
    reply = running.client.post("/v1/responses", json=body)
    assert (reply.status_code, reply.headers["content-type"].partition(";")[0]) == (200, "text/event-stream")
    found = []
    for block in reply.text.split("\n\n")[:-1]:
        if block.startswith(":"):
            continue
        name, data = block.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        check_event(name.removeprefix("event: "), found[-1])
    return found


def check_event(name: str, event: dict[str, Any]) -> None:
    """All fields that its type demands, in the types that it demands, and none that it does not know."""
    assert name == event["type"]
    made = KINDS[name].model_validate_json(json.dumps(event), strict=True)
    assert unknown(made) <= OURS, event
    again = json.loads(made.model_dump_json(exclude_unset=True))
    assert again == event


def unknown(value: Any) -> set[str]:
    """Fields that the types do not have, at any depth."""
    if isinstance(value, list | tuple):
        return set().union(*map(unknown, value))
    if not isinstance(value, BaseModel):
        return set()
    inner = [getattr(value, name) for name in type(value).model_fields]
    return set(value.model_extra or ()) | unknown(inner)


def shape(events: list[dict[str, Any]]) -> list[str]:
    """The types without their beginning; equal ones in a row are one with a star."""
    made: list[str] = []
    for event in events:
        kind = str(event["type"]).removeprefix("response.")
        if kind.endswith(".delta"):
            kind += "*"
            if made and made[-1] == kind:
                continue
        made.append(kind)
    return made


def item(*inner: str) -> list[str]:
    return ["output_item.added", *inner, "output_item.done"]


@pytest.mark.parametrize(
    ("text", "more", "expected"),
    [
        ("one two", {}, [*item(*TEXT), "completed"]),
        ("", {}, [*item(*(each for each in TEXT if "delta" not in each)), "completed"]),
        ("one two", {"max_output_tokens": 2}, [*item(*TEXT), "incomplete"]),
        (ON, {"tools": [LAMP]}, [*item(*CALL), "completed"]),
        (ON, {"tools": [LAMP], "tool_choice": "required"}, [*item(*CALL), "completed"]),
        (
            ON,
            {"tools": [LAMP], "tool_choice": {"type": "function", "name": "lamp"}},
            [*item(*CALL), "completed"],
        ),
        (f"{ON}\n{OFF}", {"tools": [LAMP]}, [*item(*CALL), *item(*CALL), "completed"]),
        (f"Well.\n{ON}\n{OFF}", {"tools": [LAMP]}, [*item(*TEXT), *item(*CALL), *item(*CALL), "completed"]),
        (ON, {"tools": [LAMP], "max_output_tokens": len(ON) - 20}, [*item(*CALL), "incomplete"]),
        ('{"a": 1}', {"text": {"format": {"type": "json_object"}}}, [*item(*TEXT), "completed"]),
    ],
)
def test_events_have_the_published_types_and_order(
    constrained: Running, text: str, more: dict[str, Any], expected: list[str]
) -> None:
    events = events_of(constrained, input=said(text), **more)
    assert shape(events) == ["created", "in_progress", *expected]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    check_items(events)


def check_items(events: list[dict[str, Any]]) -> None:
    """Indexes and ids lead from each event to its item, and pieces make up what the end says whole."""
    final = events[-1]["response"]
    assert {event["response"]["id"] for event in (events[0], events[1], events[-1])} == {final["id"]}
    assert [event["response"]["status"] for event in events[:2]] == ["in_progress"] * 2
    numbers = [event["output_index"] for event in events[2:-1]]
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(len(final["output"])))
    for number, made in enumerate(final["output"]):
        own = [event for event in events[2:-1] if event["output_index"] == number]
        assert {event.get("item_id", made["id"]) for event in own} == {made["id"]}
        assert (own[0]["item"]["id"], own[0]["item"]["status"]) == (made["id"], "in_progress")
        assert own[-1]["item"] == made
        whole = made["arguments"] if made["type"] == "function_call" else made["content"][0]["text"]
        assert "".join(event.get("delta", "") for event in own) == whole
        done = next(event for event in own if event["type"].endswith(("text.done", "arguments.done")))
        assert done.get("text", done.get("arguments")) == whole


def test_a_whole_answer_has_the_published_type(constrained: Running) -> None:
    for text, more in (
        ("one", {}),
        (f"Well.\n{ON}", {"tools": [LAMP]}),
        ("one two", {"max_output_tokens": 1}),
    ):
        body = {"input": said(text), "max_output_tokens": 500, **more}
        value = constrained.client.post("/v1/responses", json=body).json()
        made = Response.model_validate_json(json.dumps(value), strict=True)
        assert unknown(made) <= OURS
        kept = constrained.client.get(f"/v1/responses/{value['id']}")
        assert kept.json() == value


def test_an_error_in_a_stream_has_the_published_type(constrained: Running) -> None:
    failing = [{"role": "user", "content": json.dumps({"words": ["a ", "b "], "late_act": "raise"})}]
    events = events_of(constrained, input=failing)
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    assert events[-1]["type"] == "error"
    assert [event["sequence_number"] for event in events] == list(range(len(events)))


def test_the_demo_models_own_answer_has_them_too(vision: Running) -> None:
    content = [
        {"type": "input_image", "image_url": CIRCLE, "detail": "auto"},
        {"type": "input_text", "text": "What color is the circle?"},
    ]
    events = events_of(vision, input=[{"role": "user", "content": content}], temperature=0)
    assert shape(events) == ["created", "in_progress", *item(*TEXT), "completed"]
    check_items(events)
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "red"


def test_the_check_finds_what_is_wrong() -> None:
    """An event without a field, with one of another type, or with one too many is refused."""
    good: dict[str, Any] = {
        "type": "response.output_text.delta",
        "item_id": "msg_1",
        "output_index": 0,
        "content_index": 0,
        "delta": "a",
        "logprobs": [],
        "sequence_number": 3,
    }
    check_event(good["type"], good)
    for name in good.keys() - {"type"}:
        with pytest.raises(ValueError, match=name):
            check_event(good["type"], {key: value for key, value in good.items() if key != name})
    for change in ({"sequence_number": "3"}, {"delta": 3}, {"more": 1}):
        with pytest.raises((ValueError, AssertionError)):
            check_event(good["type"], {**good, **change})
