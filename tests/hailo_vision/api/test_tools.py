"""Tools: forced and free, held to their schemas by the engine or checked and asked for once more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from hailo_vision.api.options import closed
from hailo_vision.api.tools.calls import CallArguments, CallBegun, CallReader
from hailo_vision.api.tools.declared import Tool, ToolUse
from hailo_vision.api.tools.wording import instructed
from hailo_vision.protocol import ChatMessage, call_text
from tests.hailo_florence.api.running import FAKE_VISION, Running, started
from tests.hailo_vision.api.conftest import asked, events, order, post
from tests.hailo_vision.api.shapes import check_chunk, check_completion, check_error

PARAMETERS = {"type": "object", "properties": {"color": {"enum": ["red", "blue"]}}, "required": ["color"]}
LAMP = {"type": "function", "function": {"name": "lamp", "description": "A lamp.", "parameters": PARAMETERS}}
BELL = {"type": "function", "function": {"name": "bell"}}
TOOLS = [LAMP, BELL]
RED = call_text("lamp", '{"color": "red"}')
BLUE = call_text("lamp", '{"color": "blue"}')
RING = call_text("bell", "{}")
NAMED = {"type": "function", "function": {"name": "lamp"}}


@pytest.fixture(scope="module")
def constrained() -> Iterator[Running]:
    """The service over an engine that constrains its answers itself."""
    with started(FAKE_VISION, "--options", '{"constrained": true}') as running:
        yield running


def sticky(*answers: str) -> dict[str, Any]:
    """An order that gives one answer after the other over the tries."""
    return {"role": "user", "content": json.dumps({"sticky": answers})}


def spoken(text: str) -> dict[str, Any]:
    """An order for an answer whose every character is a token."""
    return order(words=list(text))


def heard(running: Running, *messages: Any, stream: bool, **more: Any) -> tuple[Any, list[Any], str]:
    """Content, calls and finish reason of an answer, whichever way it came."""
    reply = post(running, *messages, stream=stream, **{"tools": TOOLS, "max_tokens": 500, **more})
    assert reply.status_code == 200, reply.text
    if not stream:
        check_completion(reply.json())
        (choice,) = reply.json()["choices"]
        message = choice["message"]
        return message["content"], message.get("tool_calls", []), choice["finish_reason"]
    *chunks, done = events(reply.text)
    assert done == "[DONE]"
    content, calls = "", list[Any]()
    for chunk in chunks:
        check_chunk(chunk)
        delta = chunk["choices"][0]["delta"]
        content += delta.get("content", "")
        for piece in delta.get("tool_calls", []):
            if piece["index"] == len(calls):
                assert (piece["type"], piece["function"]["arguments"]) == ("function", "")
                calls.append({name: piece[name] for name in ("id", "type", "function")})
            else:
                assert set(piece) == {"index", "function"}
                calls[piece["index"]]["function"]["arguments"] += piece["function"]["arguments"]
    return content or (None if calls else ""), calls, chunks[-1]["choices"][0]["finish_reason"]


def named(calls: list[Any]) -> list[tuple[str, Any]]:
    for call in calls:
        assert call["id"].startswith("call_")
    assert len({call["id"] for call in calls}) == len(calls)
    return [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls]


ALLOWED = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [NAMED]}}
IN_RED, IN_BLUE = ("lamp", {"color": "red"}), ("lamp", {"color": "blue"})
RUNG: tuple[str, dict[str, Any]] = ("bell", {})


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("backend", ["constrained", "vision"])
@pytest.mark.parametrize(
    ("said", "choice", "heard_as"),
    [
        ("Hello <b>there</b> <tool", "auto", ("Hello <b>there</b> <tool", [], "stop")),
        (RED, "auto", (None, [IN_RED], "tool_calls")),
        (f"Well.\n{RED}", "auto", ("Well.", [IN_RED], "tool_calls")),
        (f"{RED}\n{RING}\n{BLUE}", None, (None, [IN_RED, RUNG, IN_BLUE], "tool_calls")),
        (RING, "required", (None, [RUNG], "tool_calls")),
        (RED, NAMED, (None, [IN_RED], "stop")),
        (RED, ALLOWED, (None, [IN_RED], "tool_calls")),
    ],
    ids=lambda value: str(value)[:30],
)
def test_words_and_calls_come_apart(
    request: pytest.FixtureRequest, backend: str, said: str, choice: Any, heard_as: Any, *, stream: bool
) -> None:
    running: Running = request.getfixturevalue(backend)
    content, calls, reason = heard(running, spoken(said), stream=stream, tool_choice=choice)
    assert (content.strip() if content else content, named(calls), reason) == heard_as


def test_arguments_come_piece_by_piece(constrained: Running) -> None:
    reply = post(constrained, spoken(RED), tools=TOOLS, stream=True, max_tokens=500)
    deltas = [chunk["choices"][0]["delta"] for chunk in events(reply.text)[:-1]]
    pieces = [delta["tool_calls"][0]["function"]["arguments"] for delta in deltas if "tool_calls" in delta]
    assert len(pieces) > 8
    assert "".join(pieces) == '{"color": "red"}'


@pytest.mark.parametrize(("path", "cut"), [("/v1/messages", "max_tokens"), ("/api/chat", "length")])
def test_a_cut_call_of_nothing_but_brackets_is_an_answer(constrained: Running, path: str, cut: str) -> None:
    """Dialects whose arguments are an object: what is nested too deeply to be read has none."""
    message = order(words=['<tool_call>\n{"name": "bell", "arguments": {"x": ', *["[" * 500] * 20])
    options = {"max_tokens": 10, "options": {"num_predict": 10}}
    reply = constrained.client.post(
        path, json={"messages": [message], "tools": TOOLS, "stream": False, **options}
    )
    assert reply.status_code == 200, reply.text
    value = reply.json()
    if path == "/v1/messages":
        (call,) = value["content"]
        assert (call["input"], value["stop_reason"]) == ({}, cut)
    else:
        (call,) = value["message"]["tool_calls"]
        assert (call["function"]["arguments"], value["done_reason"]) == ({}, cut)


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_runs_out_of_tokens_ends_with_length(constrained: Running, stream: bool) -> None:
    cut = len(RED) - len(' "red"}}\n</tool_call>')
    content, calls, reason = heard(constrained, spoken(RED), stream=stream, max_tokens=cut)
    assert (content, reason) == (None, "length")
    assert calls[0]["function"] == {"name": "lamp", "arguments": '{"color":'}


def test_an_engine_that_constrains_gets_the_schemas_and_the_bounds(constrained: Running) -> None:
    got = asked(post(constrained, order(echo=1), tools=TOOLS, tool_choice="required"))
    held = got["response_format"]
    assert (held["type"], held["least"], held["most"], held["answer"]) == ("tools", 1, 8, None)
    assert held["schemas"]["lamp"] == {**PARAMETERS, "additionalProperties": False}
    assert held["schemas"]["bell"] == {"type": "object", "properties": {}, "additionalProperties": False}
    one = asked(post(constrained, order(echo=1), tools=TOOLS, parallel_tool_calls=False))["response_format"]
    assert (one["least"], one["most"]) == (0, 1)
    forced = asked(post(constrained, order(echo=1), tools=TOOLS, tool_choice=NAMED))["response_format"]
    assert (list(forced["schemas"]), forced["most"]) == (["lamp"], 1)
    kind = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
    both = asked(post(constrained, order(echo=1), tools=TOOLS, response_format=kind))["response_format"]
    assert both["answer"]["schema"] == {"type": "object"}


def test_the_model_is_told_by_its_template_or_in_the_system_message() -> None:
    with started(FAKE_VISION, "--options", '{"template_tools": true}') as running:
        got = asked(post(running, order(echo=1), tools=TOOLS))
        assert [message["role"] for message in got["messages"]] == ["user"]
        assert [tool["function"]["name"] for tool in got["tools"]] == ["lamp", "bell"]


def test_a_system_message_keeps_its_own_text() -> None:
    use = ToolUse((Tool("lamp", "A lamp.", PARAMETERS),))
    asking = ChatMessage("user", ("Hi",))
    (first, second) = instructed((asking,), use)
    assert (first.role, second) == ("system", asking)
    told, _ = instructed((ChatMessage("system", ("Be brief.",)), asking), use)
    assert told.parts[0] == "Be brief."
    for words in ('"name": "lamp"', "A lamp.", '"enum": ["red", "blue"]', "<tool_call>", "answer in words"):
        assert words in str(told.parts[1]), words
    assert "Call lamp now." in str(instructed((asking,), replace(use, least=1, named=True))[0].parts[0])


def test_with_none_the_model_is_told_nothing(vision: Running) -> None:
    def length(**more: Any) -> int:
        return int(post(vision, order(count=1), **more).json()["usage"]["prompt_tokens"])

    assert length(tools=TOOLS, tool_choice="none") == length() < length(tools=TOOLS) - 20


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("bad", "choice"),
    [
        ("I will not.", "required"),
        ("<tool_call>\n{nonsense\n</tool_call>", "auto"),
        (call_text("lamp", '{"color": "green"}'), "auto"),
        (call_text("lamp", "{}"), NAMED),
        (call_text("other", "{}"), "auto"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_bad_call_is_asked_for_once_more_and_then_an_error(
    vision: Running, bad: str, choice: Any, stream: bool
) -> None:
    _, calls, _ = heard(vision, sticky(bad, RED), stream=stream, tool_choice=choice)
    assert named(calls) == [("lamp", {"color": "red"})]
    reply = post(vision, sticky(bad, bad), tools=TOOLS, tool_choice=choice, stream=stream, max_tokens=500)
    check_error(reply.json())
    assert (reply.status_code, reply.json()["error"]["code"]) == (502, "invalid_structured_output")


@pytest.fixture(scope="module")
def loose() -> Iterator[Running]:
    """The service over an engine that holds answers to a form, but not to all of what is asked for here."""
    with started(FAKE_VISION, "--options", '{"constrained": true, "loose": true}') as running:
        yield running


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_too_much_for_the_grammar_is_checked(loose: Running, stream: bool) -> None:
    bad = call_text("lamp", '{"color": "green", "size": 1}')
    for choice in ("auto", "required", NAMED):
        _, calls, _ = heard(loose, sticky(bad, f"{RED}\n{RING}"), stream=stream, tool_choice=choice)
        assert named(calls)[0] == IN_RED
        reply = post(loose, sticky(bad, bad), tools=TOOLS, tool_choice=choice, stream=stream, max_tokens=500)
        assert (reply.status_code, reply.json()["error"]["code"]) == (502, "invalid_structured_output")
    content, calls, reason = heard(loose, spoken(f"Well.\n{RED}"), stream=stream)
    assert (content, named(calls), reason) == ("Well.", [IN_RED], "tool_calls")


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_held_only_loosely_is_still_told_and_cut(loose: Running, stream: bool) -> None:
    content, calls, reason = heard(loose, spoken("Hello."), stream=stream)
    assert (content, calls, reason) == ("Hello.", [], "stop")
    _, calls, reason = heard(loose, order(count=50, word=RED[:20]), stream=stream, max_tokens=3)
    assert reason == "length"


@pytest.mark.parametrize(
    "said",
    [
        '{"name": "lamp", "arguments": {"color": "red"}}',
        '```json\n{"name": "lamp", "parameters": {"color": "red"}}\n```',
        '<tool_call>{"name": "lamp", "arguments": "{\\"color\\": \\"red\\"}"}',
        '[{"function": {"name": "lamp", "arguments": {"color": "red"}}}]',
    ],
    ids=lambda value: str(value)[:30],
)
def test_other_families_ways_to_call_are_read(vision: Running, said: str) -> None:
    _, calls, _ = heard(vision, spoken(said), stream=False)
    assert named(calls) == [("lamp", {"color": "red"})]
    _, bare, _ = heard(vision, spoken('{"color": "red"}'), stream=False, tool_choice=NAMED)
    assert named(bare) == [("lamp", {"color": "red"})]


def test_json_or_a_call_are_both_answers(vision: Running) -> None:
    kind = {"type": "json_object"}
    content, _, reason = heard(vision, spoken('{"a": 1}'), stream=False, response_format=kind)
    assert (content, reason) == ('{"a": 1}', "stop")
    _, calls, _ = heard(vision, sticky("no", RED), stream=False, response_format=kind)
    assert named(calls) == [("lamp", {"color": "red"})]


def test_tools_that_leave_no_room_are_left_out_where_the_model_may_do_without(vision: Running) -> None:
    many = [{"type": "function", "function": {"name": f"t{n}", "description": "x" * 50}} for n in range(100)]
    reply = post(vision, order(echo=1), tools=many)
    assert reply.headers["x-tools-left-out"] == "100"
    assert len(asked(reply)["messages"]) == 1
    assert "x-tools-left-out" not in post(vision, order(echo=1), tools=TOOLS).headers


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"tools": "x"}, "tools"),
        ({"tools": [5]}, "tools[0]"),
        ({"tools": [{"type": "function", "function": 5}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].name"),
        ({"tools": [{"type": "function", "function": {"name": 'a"b'}}]}, "tools[0].name"),
        (
            {"tools": [{"type": "function", "function": {"name": "a", "parameters": []}}]},
            "tools[0].parameters",
        ),
        ({"tools": TOOLS * 600}, "tools"),
        ({"tools": [{"type": "function", "function": {"name": "a", "description": "x" * 300_000}}]}, "tools"),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"tool_choice": 5}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "other"}}}, "tool_choice"),
        ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice"),
        ({"tool_choice": "required", "tools": []}, "tool_choice"),
        ({"tool_choice": "required", "tools": [{"type": "web_search"}]}, "tool_choice"),
        ({"parallel_tool_calls": "no"}, "parallel_tool_calls"),
        ({"function_call": {"name": "lamp"}}, "function_call"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_what_is_wrong_is_named(vision: Running, change: dict[str, Any], param: str) -> None:
    reply = post(vision, **{"tools": TOOLS, **change})
    check_error(reply.json())
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize("schema", [{"$ref": "http://x/y"}, {"allOf": [{"$ref": "#"}]}, {"required": 5}])
def test_a_schema_that_cannot_be_checked_is_the_clients_fault(
    vision: Running, schema: dict[str, Any]
) -> None:
    tools = [{"type": "function", "function": {"name": "lamp", "parameters": schema}}]
    reply = post(vision, spoken(RED), tools=tools, max_tokens=500)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "tools")


def test_other_routes_cannot_be_forced_to_call(vision: Running) -> None:
    for path, more in (("/v1/completions", {"prompt": "Hi"}), ("/v1/vision/analyze", {"prompt": "Hi"})):
        reply = vision.client.post(path, json={**more, "tools": TOOLS, "tool_choice": "required"})
        assert (reply.status_code, reply.json()["error"]["param"]) == (400, "tool_choice")


def test_strict_schemas_allow_no_other_keys() -> None:
    inner = {"type": ["object", "null"], "properties": {"properties": {"type": "string"}}}
    schema: dict[str, Any] = {
        "properties": {"a": {"type": "array", "items": inner}, "b": {"allOf": [{"properties": {"c": {}}}]}},
        "$defs": {"d": {"anyOf": [{"type": "object", "properties": {}}, {"type": "string"}]}},
    }
    shut = {"additionalProperties": False}
    assert closed(schema) == {
        "properties": {"a": {"type": "array", "items": {**inner, **shut}}, "b": schema["properties"]["b"]},
        "$defs": {"d": {"anyOf": [{"type": "object", "properties": {}, **shut}, {"type": "string"}]}},
        **shut,
    }


TEXTS = ["", " ", "Hi", "Hi <tool_", RED, f"\n {RED}\n", f"a\n\nb {RED}\n{RING}", "<tool_call>x"]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 1000])
@pytest.mark.parametrize("text", [*TEXTS, "<tool_call>" + "y" * 400])
def test_the_reader_reads_the_same_however_the_text_is_cut(text: str, size: int) -> None:
    use = ToolUse((Tool("lamp", "", {}), Tool("bell", "", {})))

    def read(step: int) -> tuple[str, dict[int, str]]:
        reader = CallReader(use)
        told = [each for at in range(0, len(text), step) for each in reader.feed(text[at : at + step])]
        words, arguments = "", dict[int, str]()
        for each in [*told, *reader.end()]:
            if isinstance(each, CallBegun):
                arguments[each.index] = f"{each.call.name}:"
            elif isinstance(each, CallArguments):
                arguments[each.index] += each.text
            else:
                words += each
        return words, arguments

    assert read(size) == read(max(1, len(text)))


@pytest.mark.parametrize("least", [0, 1])
@pytest.mark.parametrize("text", ["<too", "\n<tool_call", "<"])
def test_a_call_that_ends_within_its_mark_is_no_answer_where_one_is_demanded(text: str, least: int) -> None:
    reader = CallReader(ToolUse((Tool("lamp", "", {}),), least=least))
    told = [*reader.feed(text), *reader.end()]
    assert told == ([] if least else [text])
