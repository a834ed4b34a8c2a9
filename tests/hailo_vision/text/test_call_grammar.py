"""Answers that may call tools, from models of random weights, which would never do it by themselves."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from hailo_vision.protocol import call_text
from hailo_vision.text.grammar import Grammars
from tests.hailo_vision.conversations import FOLDERS
from tests.hailo_vision.talk import ask, question, vision_request
from tests.hailo_vision.text.test_grammar import HOSTILE

llguidance = pytest.importorskip("llguidance", reason="llguidance comes with `make venv`; Debian 13 has none")
A = FOLDERS["random-a"]
TOKENIZER = (A / "tokenizer.json").read_text()
SIZE = 1 + max(json.loads(TOKENIZER)["model"]["vocab"].values())
LAMP = {
    "type": "object",
    "properties": {"color": {"enum": ["red", "blue"]}, "level": {"type": "integer", "minimum": 0}},
    "required": ["color"],
    "additionalProperties": False,
}
BELL: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
ON, RING = call_text("lamp", '{"color": "red"}'), call_text("a.b/c:d-e", "{}")


def tools(**more: Any) -> dict[str, Any]:
    schemas = {"lamp": LAMP, "a.b/c:d-e": BELL}
    return {"type": "tools", "schemas": schemas, "least": 0, "most": 3, "answer": None, **more}


@pytest.fixture(scope="module")
def grammars() -> Grammars:
    vocabulary = json.loads(TOKENIZER)
    size = 1 + max([SIZE, *(token["id"] for token in vocabulary["added_tokens"])])
    return Grammars(TOKENIZER, size, [334])


def takes(grammars: Grammars, text: str, **more: Any) -> tuple[bool, bool]:
    """Whether a text may be the beginning of an answer, and whether it may be a whole one."""
    constraint = grammars.start(tools(**more))
    assert constraint is not None
    for token in grammars._tokens.tokenize_str(text):
        if not constraint.allowed()[token]:
            return False, False
        constraint.add(token)
    return True, bool(constraint._matcher.is_accepting())


@pytest.mark.parametrize(
    ("text", "more", "expected"),
    [
        ("Hello <b>there</b>", {}, (True, True)),
        (ON, {}, (True, True)),
        (f"Well.\n{ON}", {}, (True, True)),
        ("\n".join([ON, RING, ON]), {}, (True, True)),
        ("\n".join([ON, RING, ON, ON]), {}, (False, False)),
        (f"{ON}\n{RING}", {"most": 1}, (False, False)),
        (f"{ON} and words", {}, (False, False)),
        ("a <tool_call> b", {}, (False, False)),
        ('<tool_call>\n{"name": "la', {}, (True, False)),
        ('<tool_call>\n{"name": "other"', {}, (False, False)),
        ('<tool_call>\n{"name": "lamp", "arguments": {"color": "green"', {}, (False, False)),
        (call_text("lamp", '{"color": "red", "level": -1}'), {}, (False, False)),
        (call_text("lamp", '{"color": "red", "other": 1}'), {}, (False, False)),
        (call_text("lamp", "{}"), {}, (False, False)),
        (RING, {"least": 1}, (True, True)),
        ("Hello", {"least": 1}, (False, False)),
        ('{"a": 1}', {"answer": {"type": "json_object"}}, (True, True)),
        (ON, {"answer": {"type": "json_object"}}, (True, True)),
        ("Hello", {"answer": {"type": "json_object"}}, (False, False)),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_an_answer_may_be(
    grammars: Grammars, text: str, more: dict[str, Any], expected: tuple[bool, bool]
) -> None:
    assert takes(grammars, text, **more) == expected


@pytest.mark.parametrize("temperature", [0, 1.0])
def test_a_forced_model_calls_what_there_is_with_what_it_takes(load: Any, temperature: float) -> None:
    pattern = re.compile(r'<tool_call>\n\{"name": "lamp", "arguments": (.*?)\}\n</tool_call>', re.DOTALL)
    held = tools(schemas={"lamp": {**LAMP, "required": ["color", "level"]}}, least=1, most=1)
    for seed in range(4):
        request = question("Hi", max_tokens=300, temperature=temperature, seed=seed, response_format=held)
        result = ask(load(A), request)
        assert result["finish_reason"] == "stop"
        found = pattern.fullmatch(result["text"])
        assert found, result["text"]
        arguments = json.loads(found[1])
        assert arguments["color"] in ("red", "blue")
        assert arguments["level"] >= 0


HELD = ("product of choices",)
"""Those that the library can hold arguments to."""


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_a_schema_that_cannot_be_held_to_leaves_the_names_held(grammars: Grammars, name: str) -> None:
    began = time.monotonic()
    schemas = {"lamp": HOSTILE[name], "bell": BELL}
    text = call_text("lamp", '{"anything": 1}')
    assert takes(grammars, text, schemas=schemas)[0] or name in HELD
    assert takes(grammars, call_text("other", "{}"), schemas=schemas) == (False, False)
    constraint = grammars.start(tools(schemas=schemas))
    assert constraint is not None
    assert constraint.loose or name in HELD
    assert time.monotonic() - began < 15


def test_an_engine_says_where_it_cannot_hold_arguments(load: Any) -> None:
    for name in (None, *sorted(HOSTILE.keys() - HELD)):
        held = tools(schemas={"lamp": HOSTILE[name] if name else LAMP, "bell": BELL})
        request = vision_request(question("Hi", max_tokens=1, response_format=held))
        events = load(A).run(request, [])
        assert next(events).loose is (name is not None), name
        events.close()


def test_hundreds_of_tools_are_held_to_their_names(grammars: Grammars) -> None:
    began = time.process_time()
    schemas = {f"tool_{number}": LAMP for number in range(400)}
    assert takes(grammars, call_text("tool_399", '{"color": "red"}'), schemas=schemas) == (True, True)
    assert takes(grammars, call_text("tool_400", '{"color": "red"}'), schemas=schemas) == (False, False)
    assert time.process_time() - began < 5
