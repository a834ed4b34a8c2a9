"""`/v1/completions` as OpenAI's older API has it, and llama.cpp's `/props`."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.hailo_florence.api.running import Running
from tests.hailo_vision.api.conftest import MODEL, URI, events
from tests.hailo_vision.api.shapes import check_error, check_usage, has

PATH = "/v1/completions"


def complete(running: Running, prompt: Any, **more: Any) -> httpx.Response:
    return running.client.post(PATH, json={"model": MODEL, "prompt": prompt, **more})


def check_text_completion(value: dict[str, Any]) -> dict[str, Any]:
    """A `CreateCompletionResponse`; returns its choice."""
    has(value, {"id": str, "choices": list, "created": int, "model": str, "object": str})
    assert value["object"] == "text_completion"
    assert value["id"].startswith("cmpl-")
    (choice,) = value["choices"]
    has(choice, {"text": str, "index": int, "finish_reason": (str, type(None))})
    assert choice["logprobs"] is None
    return dict(choice)


@pytest.mark.parametrize("prompt", ["one two", ["one two"]])
def test_a_prompt_is_answered(vision: Running, prompt: Any) -> None:
    value = complete(vision, prompt).json()
    assert check_text_completion(value) == {
        **{"index": 0, "text": "one two ", "logprobs": None, "finish_reason": "stop"}
    }
    check_usage(value["usage"])
    cut = complete(vision, json.dumps({"count": 9}), max_tokens=2).json()
    assert check_text_completion(cut)["finish_reason"] == "length"


def test_a_stream_says_the_same(vision: Running) -> None:
    reply = complete(vision, "one two", stream=True, stream_options={"include_usage": True})
    *chunks, counted, done = events(reply.text)
    assert done == "[DONE]"
    choices = [check_text_completion(chunk) for chunk in chunks]
    assert "".join(choice["text"] for choice in choices) == "one two "
    assert [choice["finish_reason"] for choice in choices] == [None, None, "stop"]
    check_usage(counted["usage"])
    assert counted["choices"] == []


def test_an_image_beside_the_prompt_is_seen_and_the_options_reach_the_engine(vision: Running) -> None:
    reply = complete(vision, json.dumps({"echo": 1}), images=[URI], seed=5, stop=["X"], max_tokens=7)
    got = json.loads(check_text_completion(reply.json())["text"])
    assert [part["type"] for part in got["messages"][0]["content"]] == ["image", "text"]
    assert (got["seed"], got["stop"], got["max_tokens"]) == (5, ["X"], 7)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": [[1, 2]]}, "prompt"),
        ({"prompt": "x" * 300_000}, "messages"),
        ({"suffix": "end"}, "suffix"),
        ({"echo": True}, "echo"),
        ({"best_of": 2}, "best_of"),
        ({"logprobs": 3}, "logprobs"),
        ({"n": 2}, "n"),
        ({"temperature": 9}, "temperature"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_cannot_be_done_is_named(vision: Running, change: dict[str, Any], param: str) -> None:
    reply = vision.client.post(PATH, json={"model": MODEL, "prompt": "Hi", **change})
    check_error(reply.json())
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)


def test_what_older_clients_always_send_is_accepted(vision: Running) -> None:
    usual = {"suffix": None, "echo": False, "best_of": 1, "logprobs": None, "n": 1, "user": "me"}
    assert complete(vision, "one", **usual).status_code == 200
    assert complete(vision, "one", suffix="", logprobs=0).status_code == 200


@pytest.mark.parametrize("path", ["/completions", "/v1/v1/completions", "/v1/completions/"])
def test_other_forms_of_the_address_mean_it(vision: Running, path: str) -> None:
    assert vision.client.post(path, json={"prompt": "one"}).json()["object"] == "text_completion"


@pytest.mark.parametrize("path", ["/props", "/v1/props", "/props?model=fake-vl"])
def test_props_tell_the_context(vision: Running, path: str) -> None:
    value = vision.client.get(path).json()
    assert value["default_generation_settings"]["n_ctx"] == 2048
    assert value["modalities"] == {"vision": True, "audio": False}
    assert value["model_alias"] in (MODEL, "fake-vl")
    assert vision.client.get("/props?model=other").status_code == 404


@pytest.mark.parametrize(
    "path", ["/v1/embeddings", "/embeddings", "/v1/audio/speech", "/v1/images/generations"]
)
def test_what_no_model_here_can_do_is_a_clear_501(vision: Running, path: str) -> None:
    reply = vision.client.post(path, json={"model": MODEL, "input": "x"})
    check_error(reply.json())
    assert (reply.status_code, reply.json()["error"]["code"]) == (501, "not_supported")


@pytest.mark.parametrize("path", ["caption", "vqa", "detect", "ocr", "tasks/od"])
def test_what_the_other_service_does_is_said_to_be_there(vision: Running, path: str) -> None:
    reply = vision.client.post(f"/v1/{path}", files={"image": b"not looked at"})
    check_error(reply.json())
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "other_service")
    assert "hailo-florence's, usually on port 11438" in reply.json()["error"]["message"]


def test_a_base_url_with_a_part_too_many_or_too_few_is_told_the_right_one(vision: Running) -> None:
    for path, meant in (("/v1/chat", "/v1/chat/completions"), ("/v1/message", "/v1/messages")):
        assert meant in vision.client.post(path, json={}).json()["error"]["message"]
