"""One prompt about several pictures."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.hailo_florence.api.conftest import data_uri, red_circle
from tests.hailo_florence.api.running import Running
from tests.hailo_vision.api.conftest import URI, events
from tests.hailo_vision.api.shapes import check_error

CUT = data_uri(red_circle()[:900])
GIF = data_uri(b"GIF89a" + bytes(50))


def analyze(running: Running, images: Any, prompt: Any = "What is it?", **more: Any) -> httpx.Response:
    """The answer to an analyze request."""
    return running.client.post("/v1/vision/analyze", json={"images": images, "prompt": prompt, **more})


def test_each_image_gets_its_answer(vision: Running) -> None:
    forms = [URI, {"url": URI}, {"image_url": {"url": URI}}, URI.partition(",")[2]]
    reply = analyze(vision, forms, "one two", max_tokens=50)
    assert reply.status_code == 200, reply.text
    value = reply.json()
    assert [entry["analysis"] for entry in value["results"]] == ["one two "] * 4
    assert [entry["index"] for entry in value["results"]] == [0, 1, 2, 3]
    assert value["results"][0]["image_url"] == "data:image/jpeg;base64,..."
    assert value["results"][0]["finish_reason"] == "stop"
    assert value["total_inference_time_ms"] == sum(r["inference_time_ms"] for r in value["results"])
    assert value["total_ms"] >= value["total_inference_time_ms"]
    assert value["usage"]["completion_tokens"] == 12
    assert (value["model"], value["images_answered"], value["images_failed"]) == (
        "qwen2-vl-2b-instruct",
        4,
        0,
    )


def test_a_bad_image_spoils_only_its_own_entry(vision: Running) -> None:
    reply = analyze(vision, [URI, CUT, "http://127.0.0.1/a.jpg", GIF, 5, URI])
    assert reply.status_code == 200
    results = reply.json()["results"]
    assert [entry.get("error", {}).get("code") for entry in results] == [
        *(None, "image_truncated", "unsupported_image_url", "invalid_image", "invalid_value", None)
    ]
    for index in (1, 2, 3, 4):
        check_error(results[index])
        assert results[index]["error"]["param"] == f"images[{index}]"
    assert results[0]["analysis"] == results[5]["analysis"] == "What is it? "
    assert (reply.json()["images_answered"], reply.json()["images_failed"]) == (2, 4)


@pytest.mark.parametrize(("image", "status"), [(CUT, 400), (GIF, 400), ("file:///etc/passwd", 400)])
def test_where_no_image_can_be_answered_the_status_says_so(vision: Running, image: str, status: int) -> None:
    reply = analyze(vision, [image, image])
    check_error(reply.json())
    assert (reply.status_code, reply.json()["error"]["param"]) == (status, "images[0]")


def test_an_engine_that_dies_on_one_image_answers_the_next(vision: Running) -> None:
    once = json.dumps({"act": "die"})
    reply = analyze(vision, [URI, URI], once)
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "engine_lost")
    vision.until_ready()
    assert analyze(vision, [URI]).status_code == 200


def test_results_come_as_they_are_made(vision: Running) -> None:
    order = json.dumps({"count": 2, "step_s": 0.3})
    value = {"images": [URI, CUT, URI], "prompt": order, "stream": True}
    with vision.client.stream("POST", "/v1/vision/analyze", json=value) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        lines = []
        for line in reply.iter_lines():
            lines.append(line)
            if line.startswith("data: ") and len(lines) < 4:
                assert json.loads(line[6:])["index"] == 0
    *entries, totals, done = events("\n".join(lines))
    assert [entry["index"] for entry in entries] == [0, 1, 2]
    assert ["error" in entry for entry in entries] == [False, True, False]
    assert totals["total_inference_time_ms"] > 1000
    assert done == "[DONE]"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"images": []}, "images"),
        ({"images": None}, "images"),
        ({"images": 5}, "images[0]"),
        ({"images": [URI] * 17}, "images"),
        ({"prompt": None}, "prompt"),
        ({"prompt": " "}, "prompt"),
        ({"prompt": ["x"]}, "prompt"),
        ({"temperature": 3}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"model": "gpt-4o"}, "model"),
    ],
    ids=str,
)
def test_a_bad_field_is_named(vision: Running, change: dict[str, Any], param: str) -> None:
    value = {"images": [URI], "prompt": "Hi"} | change
    reply = vision.client.post("/v1/vision/analyze", json=value)
    check_error(reply.json())
    assert reply.status_code == (404 if param == "model" else 400)
    assert reply.json()["error"]["param"] == param
