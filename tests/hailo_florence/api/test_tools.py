"""hailo-florence's tools say what its routes say, for every task, on a random model with all places."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.hailo_florence.api.conftest import data_uri, red_circle
from tests.hailo_florence.api.running import FLORENCE, Running, started
from tests.hailo_florence.cases import DATA

URI = data_uri(red_circle())
CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("describe_image", "/v1/caption", {}),
    ("describe_image", "/v1/caption", {"detail": "more"}),
    ("ask_image", "/v1/vqa", {"question": "red?"}),
    ("detect_objects", "/v1/detect", {"kind": "regions"}),
    ("detect_objects", "/v1/detect", {"text": "a cat", "normalised": True}),
    ("ground_caption", "/v1/ground", {"text": "a cat"}),
    ("segment_image", "/v1/segment", {"box": [10, 10, 100, 90]}),
    ("read_text", "/v1/ocr", {"regions": True}),
    ("read_text", "/v1/ocr", {}),
    ("describe_region", "/v1/region", {"box": [10, 10, 100, 90]}),
]


@pytest.fixture(scope="module")
def places() -> Iterator[Running]:
    with started(FLORENCE, "--model", str(DATA / "florence-random-places")) as running:
        yield running


def rpc(running: Running, method: str, **params: Any) -> Any:
    value = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    reply = running.client.post("/mcp", json=value)
    assert reply.status_code == 200, reply.text
    return reply.json()["result"]


def call(running: Running, tool: str, **arguments: Any) -> Any:
    return rpc(running, "tools/call", name=tool, arguments=arguments)


@pytest.mark.parametrize(("tool", "path", "fields"), CALLS)
def test_a_tool_answers_as_its_route(places: Running, tool: str, path: str, fields: dict[str, Any]) -> None:
    arguments = {"image": URI, "max_length": 60, **fields}
    answer = call(places, tool, **arguments)
    assert not answer["isError"], answer
    routed = places.client.post(path, json=arguments).json()
    told = answer["structuredContent"]
    for value in (told, routed):
        assert value.pop("inference_time_ms") > 0
        value.pop("cached", None)
    assert told == routed
    assert answer["content"][0]["text"]


def test_schemas_fit_what_is_taken_and_given(places: Running) -> None:
    jsonschema: Any = pytest.importorskip("jsonschema", reason="it comes with `make venv`")
    tools = {tool["name"]: tool for tool in rpc(places, "tools/list")["tools"]}
    assert set(tools) == {tool for tool, _, _ in CALLS}
    for tool, _, fields in CALLS:
        arguments = {"image": URI, "max_length": 60, **fields}
        jsonschema.validate(arguments, tools[tool]["inputSchema"])
        jsonschema.validate(call(places, tool, **arguments)["structuredContent"], tools[tool]["outputSchema"])


def test_a_model_offers_what_it_can_do(florence: Running) -> None:
    """The demo model knows captions and questions, and no places."""
    assert [tool["name"] for tool in rpc(florence, "tools/list")["tools"]] == ["describe_image", "ask_image"]
    refused = call(florence, "detect_objects", image=URI)
    assert refused["isError"]
    assert refused["_meta"]["hailo-florence/code"] == "task_not_supported"


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({}, "image"),
        ({"image": "nonsense!"}, "image"),
        ({"image": URI, "detail": "endless"}, "detail"),
        ({"image": URI, "max_length": 100_000}, "max_length"),
        ({"image": URI, "box": [1, 2]}, ""),
    ],
)
def test_a_bad_argument_is_named(florence: Running, fields: dict[str, Any], word: str) -> None:
    answer = call(florence, "describe_image", **fields)
    assert answer["isError"] is bool(word), answer
    assert word in answer["content"][0]["text"]


def test_a_cameras_unchanged_picture_is_answered_again(florence: Running) -> None:
    first, second = (call(florence, "describe_image", image=URI, camera="tool") for _ in range(2))
    assert first["structuredContent"]["unchanged"] is False
    assert second["structuredContent"]["unchanged"] is True
    assert second["structuredContent"]["caption"] == first["structuredContent"]["caption"]
    schema = next(t for t in rpc(florence, "tools/list")["tools"] if t["name"] == "describe_image")
    assert "camera" in schema["inputSchema"]["properties"]
    assert "stream" not in schema["inputSchema"]["properties"]
