"""Answers that must be JSON: from models of random weights, which would never say it by themselves."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from hailo_common.errors import InvalidParameter, NotSupported
from hailo_vision.onnx.engine import make_onnx_engine
from hailo_vision.text import grammar as constrain
from hailo_vision.text.grammar import Grammars
from tests.hailo_vision.conversations import FOLDERS
from tests.hailo_vision.talk import ask, noise, question, vision_request

pytest.importorskip("llguidance", reason="llguidance comes with `make venv`; Debian 13 has none")
A = FOLDERS["random-a"]
Load = Any
SHAPES = ["circle", "square", "star"]
SCHEMA = {
    "type": "object",
    "properties": {
        "shape": {"enum": SHAPES},
        "count": {"type": "integer", "minimum": 1, "maximum": 12},
        "red": {"type": "boolean"},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 1, "maxItems": 2},
    },
    "required": ["shape", "count", "red", "tags"],
    "additionalProperties": False,
}


def form(schema: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "json_schema", "schema": schema, "strict": True, **fields}


@pytest.mark.parametrize("temperature", [0, 1.0])
def test_answers_match_the_schema(load: Load, folder: Any, temperature: float) -> None:
    engine = load(folder, conversation_cache_mb=0)
    for number in range(8):
        request = question(
            0,
            "What is it?",
            max_tokens=200,
            temperature=temperature,
            seed=number,
            response_format=form(SCHEMA),
        )
        result = ask(engine, request, noise(number, factor=12))
        assert result["finish_reason"] == "stop"
        value = json.loads(result["text"])
        assert set(value) == {"shape", "count", "red", "tags"}
        assert value["shape"] in SHAPES
        assert value["count"] in range(1, 13)
        assert isinstance(value["red"], bool)
        assert value["tags"]
        assert set(value["tags"]) <= {"a", "b"}


def test_a_cut_answer_is_the_beginning_of_json(load: Load) -> None:
    request = question("Hi", max_tokens=2, response_format={"type": "json_object"})
    result = ask(load(A), request)
    assert (result["finish_reason"], result["completion_tokens"]) == ("length", 2)
    assert result["text"].startswith("{")


def test_text_is_not_constrained(load: Load) -> None:
    plain, asked = question("Hi"), question("Hi", response_format={"type": "text"})
    assert ask(load(A), plain)["text"] == ask(load(A), asked)["text"]


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


HOSTILE: dict[str, Any] = {
    "no schema": None,
    "not an object": ["object"],
    "unknown type": {"type": "banana"},
    "unsupported": {"not": {"type": "integer"}},
    "elsewhere": {"$ref": "http://127.0.0.1:1/schema.json"},
    "deep": nested(200),
    "very deep": nested(20_000),
    "long": {"enum": [f"{number:0100}" for number in range(1000)]},
    "repeats": {"type": "string", "pattern": "^(a{1000}){1000}$"},
    "repeats everywhere": {"anyOf": [{"type": "string", "pattern": f"^{n}a{{900}}$"} for n in range(99)]},
    "repeats in names": {"type": "object", "patternProperties": {"^(a{1000}){1000}$": {}}},
    "bad pattern": {"type": "string", "pattern": "(("},
    "product of choices": {
        "allOf": [{"anyOf": [{"required": [f"{i}{j}"]} for j in range(10)]} for i in range(10)]
    },
}


@pytest.mark.parametrize("name", HOSTILE)
def test_schemas_that_cannot_be_used(load: Load, name: str) -> None:
    began = time.monotonic()
    with pytest.raises(InvalidParameter) as caught:
        load(A).run(vision_request(question("Hi", response_format=form(HOSTILE[name]))), [])
    assert caught.value.param == "response_format"
    assert caught.value.code == "invalid_response_format"
    assert time.monotonic() - began < 10


def test_schemas_that_pydantic_writes(load: Load) -> None:
    schema: dict[str, Any] = {
        "$defs": {
            "Cat": {"type": "object", "properties": {"kind": {"const": "cat"}}, "required": ["kind"]},
            "Dog": {"type": "object", "properties": {"kind": {"const": "dog"}}, "required": ["kind"]},
        },
        "type": "object",
        "title": "Answer",
        "properties": {
            "pet": {
                "oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}],
                "discriminator": {"propertyName": "kind"},
            },
            "size": {"anyOf": [{"type": "integer", "maximum": 3, "minimum": 0}, {"type": "null"}]},
        },
        "required": ["pet", "size"],
    }
    for item in schema["$defs"].values():
        item["additionalProperties"] = False
    schema["additionalProperties"] = False
    request = question("Hi", max_tokens=200, response_format=form(schema, strict=False))
    value = json.loads(ask(load(A), request)["text"])
    assert value["pet"]["kind"] in ("cat", "dog")
    assert value["size"] in (None, 0, 1, 2, 3)


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hailo_vision.onnx.engine.available", lambda: False)
    with make_onnx_engine({"model_dir": str(A), "threads": 1}) as engine:
        assert engine.load().capabilities["constrained_json"] is False
        with pytest.raises(NotSupported):
            engine.run(vision_request(question("Hi", response_format={"type": "json_object"})), [])


def test_a_tokenizer_that_the_library_cannot_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Grammars:
        raise ValueError("no such tokenizer")

    monkeypatch.setattr("hailo_vision.onnx.engine.Grammars", refuse)
    with make_onnx_engine({"model_dir": str(A), "threads": 1}) as engine:
        assert engine.load().capabilities["constrained_json"] is False


def test_kinds() -> None:
    grammars = Grammars((A / "tokenizer.json").read_text(), 360, [334])
    with pytest.raises(InvalidParameter, match="type must be one of"):
        grammars.start({"type": "xml"})
    assert grammars.start({"type": "text"}) is None
    allowed = grammars.start({"type": "json_object"}).allowed()  # type: ignore[union-attr]
    assert allowed.shape == (360,)
    assert 0 < allowed.sum() < 20
    assert constrain.available()
