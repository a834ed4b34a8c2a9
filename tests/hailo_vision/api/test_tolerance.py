"""What clients send in other forms than OpenAI's: images in other fields, tool messages, odd numbers,
forms.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.hailo_florence.api.conftest import red_circle
from tests.hailo_florence.api.running import Running
from tests.hailo_vision.api.conftest import CHAT, URI, asked, body, order, post
from tests.hailo_vision.api.shapes import check_error

BARE = URI.partition(",")[2]
BIG = base64.b64encode(red_circle((1200, 900), "PNG")).decode()


def content_of(running: Running, *messages: Any, **more: Any) -> list[list[Any]]:
    """What the engine got of each message but the last: texts, and numbers of images."""
    got = asked(post(running, *messages, order(echo=1), **more))["messages"]
    return [[part.get("text", part.get("image")) for part in message["content"]] for message in got[:-1]]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image", "data": BARE},
        {"type": "image", "source_type": "base64", "mime_type": "image/jpeg", "data": BARE},
        {"type": "image", "image": {"format": "jpeg", "source": {"bytes": BARE}}},
        {"type": "image", "url": URI},
        {"type": "file", "file": {"filename": "a.jpg", "file_data": URI}},
        {"type": "input_file", "file_data": URI},
        {"type": "image_url", "image_url": {"url": BARE}},
        {"type": "image_url", "image_url": BIG},
        {"type": "image_url", "image_url": {"url": URI.replace("image/jpeg", "image/heic")}},
        {"type": "media", "mime_type": "image/jpeg", "data": BARE},
        {"inline_data": {"mime_type": "image/jpeg", "data": BARE}},
        {"inlineData": {"mimeType": "image/jpeg", "data": BARE}},
        {"image_url": {"url": URI}},
        {"image": BARE},
        {"type": "some_new_kind", "image": URI},
    ],
    ids=lambda part: str(part)[:60],
)
def test_a_part_that_holds_an_image_is_one(vision: Running, part: dict[str, Any]) -> None:
    message = {"role": "user", "content": [{"type": "text", "text": "What is it?"}, part]}
    assert content_of(vision, message) == [["What is it?", 0]]


@pytest.mark.parametrize(
    "more",
    [
        {"images": [BARE]},
        {"images": [URI]},
        {"images": BARE},
        {"image": URI},
        {"image_url": {"url": URI}},
        {"attachments": [{"type": "image", "url": URI}]},
        {"files": [{"name": "a.jpg", "data": BARE}]},
    ],
    ids=lambda more: str(more)[:40],
)
def test_an_image_beside_the_content_of_a_message_belongs_to_it(
    vision: Running, more: dict[str, Any]
) -> None:
    assert content_of(vision, {"role": "user", "content": "What is it?", **more}) == [[0, "What is it?"]]


@pytest.mark.parametrize("more", [{"images": [BARE]}, {"image": URI}, {"files": [{"file_data": URI}]}])
def test_an_image_beside_the_messages_belongs_to_the_last_question(
    vision: Running, more: dict[str, Any]
) -> None:
    got = asked(post(vision, {"role": "user", "content": "Hi"}, order(echo=1), **more))["messages"]
    kinds = [[part["type"] for part in message["content"]] for message in got]
    assert kinds == [["text"], ["image", "text"]]


def test_a_data_url_in_a_text_is_seen_where_it_stands(vision: Running) -> None:
    text = f"Compare ![one]({URI}) with {URI}."
    assert content_of(vision, {"role": "user", "content": text}) == [
        ["Compare ![one](", 0, ") with ", 1, "."]
    ]
    assert content_of(vision, {"role": "user", "content": URI}) == [[0]]
    assert content_of(vision, {"role": "user", "content": "data:image/ is how such a URL begins"})[0] == [
        "data:image/ is how such a URL begins"
    ]


@pytest.mark.parametrize(
    ("message", "more", "param"),
    [
        ({"screenshot": URI}, {}, "messages[0].screenshot"),
        ({"extra": {"a": [{"b": URI}]}}, {}, "messages[0].extra.a[0].b"),
        ({"thumbnail": BIG}, {}, "messages[0].thumbnail"),
        ({}, {"picture_of_me": URI}, "picture_of_me"),
        ({}, {"metadata": {"shot": BIG}}, "metadata.shot"),
        ({"role": "assistant", "images": [BARE]}, {}, "messages[0].images[0]"),
        ({"role": "system", "image": URI}, {}, "messages[0].image"),
        ({"images": ["https://example.org/a.jpg"]}, {}, "messages[0].images[0]"),
        ({"images": [5]}, {}, "messages[0].images[0]"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_image_that_would_be_dropped_is_named(
    vision: Running, message: dict[str, Any], more: dict[str, Any], param: str
) -> None:
    reply = post(vision, {"role": "user", "content": "Hi", **message}, order(count=1), **more)
    check_error(reply.json())
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)


def test_what_is_no_image_is_no_reason_to_refuse(vision: Running) -> None:
    more = {"metadata": {"hash": "AbC" * 300, "url": "https://example.org/a.jpg", "note": "data:image/"}}
    assert (
        post(vision, {"role": "user", "content": "Hi", "images": [], "image": None}, **more).status_code
        == 200
    )


CALL = {"id": "c1", "type": "function", "function": {"name": "light", "arguments": '{"on": true}'}}


def test_conversations_that_hold_calls_and_results_are_read(vision: Running) -> None:
    messages = [
        {"role": "user", "content": "Light on"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "name": "light", "content": '{"ok": true}'},
        {"role": "assistant", "content": "Done.", "function_call": {"name": "f", "arguments": "not json"}},
        {"role": "function", "name": "f", "content": None},
        {"role": "tool", "tool_call_id": "none of these", "content": [{"type": "text", "text": "late"}]},
    ]
    got = asked(post(vision, *messages, order(echo=1)))["messages"]
    texts = [[part["text"] for part in message["content"]] for message in got[:-1]]
    assert texts == [["Light on"], [], ['{"ok": true}'], ["Done."], [""], ["late"]]
    assert [got[at]["calls"] for at in (1, 3)] == [[["c1", "light", {"on": True}]], [["", "f", "not json"]]]
    assert [got[at]["result"] for at in (2, 4, 5)] == [["c1", "light"], ["", "f"], ["none of these", ""]]


def test_calls_are_bounded_in_number_and_depth(vision: Running) -> None:
    deep = {"function": {"name": "f", "arguments": "[" * 900 + "]" * 900}}
    got = asked(post(vision, {"role": "assistant", "tool_calls": [deep]}, order(echo=1)))["messages"]
    assert got[0]["calls"][0][2] == deep["function"]["arguments"]
    many = {"role": "assistant", "content": None, "tool_calls": [CALL] * 1001}
    reply = post(vision, many, {"role": "user", "content": "Hi"})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "messages[0].tool_calls")


def test_a_home_assistant_with_four_hundred_tools_is_answered(vision: Running) -> None:
    parameters = {
        "type": "object",
        "properties": {
            name: {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}} for name in "abc"
        },
        "required": ["a"],
    }
    tools = [
        {
            "type": "function",
            "function": {"name": f"tool_{n}", "description": "x" * 80, "parameters": parameters},
        }
        for n in range(400)
    ]
    assert post(vision, order(count=1), tools=tools).status_code == 200


@pytest.mark.parametrize(
    "more",
    [
        {"max_tokens": -1},
        {"max_tokens": -2},
        {"n": 1.0},
        {"stop": ""},
        {"stop": [None, ""]},
        {"stop": []},
        {"user": 10**60, "created": -(10**400), "metadata": {"a": 10**30}},
        {"seed": 10**50},
        {"top_k": -1},
    ],
    ids=lambda more: str(more)[:40],
)
def test_fields_in_forms_with_one_meaning_are_understood(vision: Running, more: dict[str, Any]) -> None:
    assert post(vision, order(count=1), **more).status_code == 200


def test_bodies_of_shells_and_old_programs_are_understood(vision: Running) -> None:
    text = json.dumps(body())
    for content, headers in (
        (b"\xef\xbb\xbf" + text.encode(), {"Content-Type": "application/json"}),
        (text.encode(), {"Content-Type": "application/x-www-form-urlencoded"}),
        (text.encode(), {"Content-Type": "text/plain"}),
        (text.encode(), {}),
    ):
        assert vision.client.post(CHAT, content=content, headers=headers).status_code == 200
    lines = "\n".join(BARE[at : at + 76] for at in range(0, len(BARE), 76))
    wrapped = text.replace('"content": ', f'"images": ["{lines}"], "content": ', 1)
    reply = vision.client.post(CHAT, content=wrapped, headers={"Content-Type": "application/json"})
    assert reply.json()["usage"]["prompt_tokens_details"]["image_tokens"] == 4


def test_a_form_asks_about_its_images(vision: Running) -> None:
    path, image = "/v1/vision/analyze", red_circle()
    for files in (
        [("image", ("x.jpg", image))],
        [("images[]", ("x.jpg", image)), ("images[]", ("y.jpg", image))],
        [("image", (None, URI))],
        [("file", ("x.txt", BARE.encode()))],
    ):
        fields = {"prompt": "one two", "max_tokens": "2", "temperature": "", "stream": "false"}
        reply = vision.client.post(path, data=fields, files=files)
        assert reply.status_code == 200, reply.text
        assert [each["analysis"] for each in reply.json()["results"]] == ["one two "] * len(files)
    reply = vision.client.post(path, data={"prompt": "x"}, files=[("image", ("x.jpg", b"%PDF-1.4"))])
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "images[0]")


@pytest.mark.parametrize(
    "kind", ["image/jpeg", "application/octet-stream", "application/x-www-form-urlencoded", ""]
)
def test_an_image_may_be_the_body_of_an_analysis(vision: Running, kind: str) -> None:
    path = "/v1/vision/analyze?prompt=one+two+three&max_tokens=2"
    reply = vision.client.post(path, content=red_circle(), headers={"Content-Type": kind})
    assert [each["analysis"] for each in reply.json()["results"]] == ["one two "], reply.text
    bare = vision.client.post("/v1/vision/analyze", content=red_circle(), headers={"Content-Type": kind})
    assert (bare.status_code, bare.json()["error"]["param"]) == (400, "prompt")
    page = {"Content-Type": kind, "Sec-Fetch-Site": "same-origin"}
    closed = vision.client.post(path, content=red_circle(), headers=page).status_code
    assert closed == (200 if kind == "image/jpeg" else 415)


@pytest.mark.parametrize(
    "path",
    [
        "/chat/completions",
        "/v1/chat/completions/",
        "//v1/chat/completions",
        "/v1/v1/chat/completions",
        "/openai/v1/chat/completions",
        "/api/v1/chat/completions",
        "/openai/deployments/qwen2-vl-2b-instruct/chat/completions?api-version=2024-10-21",
    ],
)
def test_the_chat_is_found_at_every_address_that_means_it(vision: Running, path: str) -> None:
    reply = vision.client.post(path, json=body(), headers={"api-key": "anything"})
    assert reply.status_code == 200
    assert reply.json()["model"] == "qwen2-vl-2b-instruct"


def test_azures_address_names_the_model(vision: Running) -> None:
    path = "/openai/deployments/{}/chat/completions"
    assert vision.client.post(path.format("fake-vl"), json=body()).json()["model"] == "fake-vl"
    reply = vision.client.post(path.format("gpt-4o"), json=body())
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "model_not_found")
    older = vision.client.post("/openai/deployments/fake-vl/completions", json={"prompt": "Hi"})
    assert (older.status_code, older.json()["model"]) == (200, "fake-vl"), older.text
    absent = vision.client.post("/openai/deployments/fake-vl/embeddings", json={"input": "Hi"})
    assert (absent.status_code, absent.json()["error"]["code"]) == (501, "not_supported")
    for path in ("/models", "/models/fake-vl", "/v1/models/", "/openai/models", "/openai/models/fake-vl"):
        assert vision.client.get(path, params={"api-version": "2024-10-21"}).status_code == 200


def test_an_unknown_address_names_the_nearest(vision: Running) -> None:
    reply = vision.client.post("/v1/chat/completion", json=body())
    check_error(reply.json())
    assert "did you mean /v1/chat/completions?" in reply.json()["error"]["message"]
    reply = vision.client.get("/api/tag")
    assert (reply.status_code, set(reply.json())) == (404, {"error"})
    assert "/api/tags" in reply.json()["error"]
