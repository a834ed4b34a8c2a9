"""Structured answers: constrained by the engine, or asked for, checked, and asked for once more."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from hailo_common.errors import InvalidParameter
from hailo_vision.api.json_mode import Mismatch, check_schema, parse
from tests.hailo_florence.api.running import FAKE_VISION, Running, started
from tests.hailo_vision.api.conftest import asked, events, order, post
from tests.hailo_vision.api.shapes import check_completion, check_error

SCHEMA = {
    "type": "object",
    "properties": {"color": {"enum": ["red", "blue"]}, "count": {"type": "integer", "minimum": 0}},
    "required": ["color", "count"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "scene", "strict": True, "schema": SCHEMA}}
GOOD = '{"color": "red", "count": 2}'


@pytest.fixture(scope="module")
def constrained() -> Iterator[Running]:
    """The service over an engine that constrains its answers itself."""
    with started(FAKE_VISION, "--options", '{"constrained": true}') as running:
        yield running


def sticky(*answers: str) -> dict[str, Any]:
    """An order that gives one answer after the other over the tries."""
    return {"role": "user", "content": json.dumps({"sticky": answers})}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "answers", [(GOOD,), (f"```json\n{GOOD}\n```",), ("no", GOOD), ('{"count": 1}', GOOD)]
)
def test_a_good_answer_comes_bare_at_the_first_or_second_try(
    vision: Running, answers: tuple[str, ...], stream: bool
) -> None:
    reply = post(vision, sticky(*answers), response_format=FORMAT, stream=stream)
    assert reply.status_code == 200, reply.text
    if stream:
        chunks = events(reply.text)[:-1]
        text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    else:
        check_completion(reply.json())
        text = reply.json()["choices"][0]["message"]["content"]
    assert json.loads(text) == {"color": "red", "count": 2}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", [FORMAT, {"type": "json_object"}])
def test_two_bad_answers_are_a_typed_error_that_nobody_tries_again(
    vision: Running, kind: dict[str, Any], stream: bool
) -> None:
    reply = post(vision, sticky("no", "still [no]"), response_format=kind, stream=stream)
    check_error(reply.json())
    assert (reply.status_code, reply.json()["error"]["code"]) == (502, "invalid_structured_output")
    assert reply.headers["x-should-retry"] == "false"


def test_the_model_is_told_the_schema_and_its_error(vision: Running) -> None:
    got = json.loads(post(vision, order(echo=1), response_format={"type": "json_object"}).text)
    request = json.loads(got["choices"][0]["message"]["content"])
    assert request["response_format"] is None
    assert "JSON object" in request["messages"][-1]["content"][-1]["text"]


def test_a_constraining_engine_gets_the_schema(constrained: Running) -> None:
    request = asked(post(constrained, order(echo=1), response_format=FORMAT))
    assert request["response_format"] == {"type": "json_schema", "schema": SCHEMA, "strict": True}
    assert len(request["messages"][-1]["content"]) == 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("backend", ["constrained", "vision"])
def test_an_answer_that_ran_out_of_tokens_ends_with_length_and_not_with_an_error(
    request: pytest.FixtureRequest, backend: str, stream: bool
) -> None:
    """As OpenAI, vLLM and llama.cpp do it: the limit was the client's own, and the server is not broken."""
    running: Running = request.getfixturevalue(backend)
    words = ['{"color": ', '"red"', "}"]
    reply = post(running, order(words=words), response_format=FORMAT, max_tokens=2, stream=stream)
    assert reply.status_code == 200
    if stream:
        *chunks, done = events(reply.text)
        assert done == "[DONE]"
        assert chunks[-1]["choices"][0]["finish_reason"] == "length"
        text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    else:
        (choice,) = reply.json()["choices"]
        assert choice["finish_reason"] == "length"
        text = choice["message"]["content"]
    assert text == '{"color": "red"'


def test_a_constrained_answer_that_fits_is_whole(constrained: Running) -> None:
    whole = post(constrained, order(words=['{"color": ', '"red"', "}"]), response_format=FORMAT)
    assert whole.json()["choices"][0]["message"]["content"] == '{"color": "red"}'


@pytest.mark.parametrize(
    ("text", "schema", "fits"),
    [
        ("{}", None, True),
        ("[]", None, False),
        ("{", None, False),
        ('{"a": NaN}', None, False),
        ("5", {"type": "integer"}, True),
        ("5.0", {"type": "integer"}, True),
        ("5.5", {"type": "integer"}, False),
        ("true", {"type": "integer"}, False),
        ("true", {"type": "boolean"}, True),
        ("1", {"const": True}, False),
        ("null", {"type": ["string", "null"]}, True),
        ('"abc"', {"type": "string", "maxLength": 2}, False),
        ('["a", 1]', {"prefixItems": [{"type": "string"}], "items": {"type": "number"}}, True),
        ('["a", "b"]', {"prefixItems": [{"type": "string"}], "items": {"type": "number"}}, False),
        ("[1, 2, 3]", {"maxItems": 2}, False),
        ('{"a": 1}', {"properties": {"b": {}}, "additionalProperties": False}, False),
        ("3", {"anyOf": [{"type": "string"}, {"minimum": 3}]}, True),
        ("3", {"oneOf": [{"type": "number"}, {"minimum": 3}]}, False),
        ("3", {"allOf": [{"type": "number"}, {"exclusiveMaximum": 3}]}, False),
        ("3", {"not": {"const": 3}}, False),
        ("0.3", {"multipleOf": 0.1}, True),
        (
            '{"next": {"next": null}}',
            {
                "$ref": "#/$defs/n",
                "$defs": {"n": {"type": ["object", "null"], "properties": {"next": {"$ref": "#/$defs/n"}}}},
            },
            True,
        ),
        (
            '{"next": {"next": 5}}',
            {
                "$ref": "#/$defs/n",
                "$defs": {"n": {"type": ["object", "null"], "properties": {"next": {"$ref": "#/$defs/n"}}}},
            },
            False,
        ),
    ],
)
def test_the_checker(text: str, schema: dict[str, Any] | None, fits: bool) -> None:
    if fits:
        assert parse(text, schema) == text
    else:
        with pytest.raises(Mismatch):
            parse(text, schema)


def _doubling(levels: int) -> dict[str, Any]:
    defs: dict[str, Any] = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(levels)}
    return {"$ref": "#/$defs/d0", "$defs": {**defs, f"d{levels}": {}}}


@pytest.mark.parametrize(
    "schema",
    [
        _doubling(40),
        {"$ref": "#"},
        {"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"},
        {"$ref": "http://127.0.0.1/schema"},
        {"$ref": "#/nowhere"},
        {"required": 5},
        {"properties": {"a": 5}},
        {"multipleOf": 0},
        {"minimum": "x"},
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_hostile_schema_is_refused_quickly(schema: dict[str, Any]) -> None:
    began = time.process_time()
    for text in ('{"a": 1}', "5"):
        try:
            parse(text, schema)
        except (InvalidParameter, Mismatch):
            continue
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    "schema",
    [
        {"pattern": "(a+)+$"},
        {"properties": {"a": {"patternProperties": {}}}},
        {"if": {}},
        {"items": 5},
        {"anyOf": ["x"]},
    ],
    ids=str,
)
def test_what_cannot_be_enforced_is_refused_before_anything_runs(
    vision: Running, schema: dict[str, Any]
) -> None:
    with pytest.raises(InvalidParameter):
        check_schema(schema)
    kind = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    reply = post(vision, order(count=1), response_format=kind)
    check_error(reply.json())
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "response_format.json_schema.schema")
