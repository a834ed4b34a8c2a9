"""Ollama's API as its own documentation describes it, field by field, and what its clients read."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import httpx
import pytest

from hailo_common import __version__
from hailo_vision.protocol import call_text
from tests.hailo_common.images.make import encode, scene
from tests.hailo_florence.api.running import Running
from tests.hailo_vision.api.conftest import URI, answers_to_anything

MODEL = "qwen2-vl-2b-instruct"
BARE = URI.partition(",")[2]
COUNTS = (
    *("total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration"),
    *("eval_count", "eval_duration"),
)
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def chat(running: Running, *messages: Any, **more: Any) -> httpx.Response:
    value = {"model": MODEL, "messages": list(messages), **more}
    # As the documentation's own examples do it: curl -d, with no word about the type.
    return running.client.post("/api/chat", content=json.dumps(value))


def generate(running: Running, prompt: str, **more: Any) -> httpx.Response:
    value = {"model": MODEL, "prompt": prompt, **more}
    return running.client.post("/api/generate", content=json.dumps(value))


def order(**what: Any) -> dict[str, Any]:
    return {"role": "user", "content": json.dumps(what)}


def asking(image: str) -> dict[str, Any]:
    return {"role": "user", "content": "What is it?", "images": [image]}


def lines(reply: httpx.Response) -> list[dict[str, Any]]:
    assert reply.headers["content-type"] == "application/x-ndjson"
    assert "" not in reply.text.split("\n")[:-1]
    return [json.loads(line) for line in reply.text.splitlines()]


def asked(reply: httpx.Response) -> dict[str, Any]:
    """What the engine was asked, which an echoing engine answers."""
    value = reply.json()
    text = value["message"]["content"] if "message" in value else value["response"]
    found: dict[str, Any] = json.loads(text)
    return found


def check_head(value: dict[str, Any]) -> None:
    assert value["model"] == MODEL
    assert STAMP.fullmatch(value["created_at"])


def check_end(value: dict[str, Any], reason: str = "stop") -> None:
    check_head(value)
    assert (value["done"], value["done_reason"]) == (True, reason)
    for name in COUNTS:
        assert isinstance(value[name], int), name
        assert value[name] >= 0, name
    assert value["total_duration"] >= value["load_duration"]


def test_chat_streams_unless_told_otherwise(vision: Running) -> None:
    *parts, end = lines(chat(vision, {"role": "user", "content": "one two three", "images": [BARE]}))
    for part in parts:
        check_head(part)
        assert part["done"] is False
        assert part["message"]["role"] == "assistant"
    assert "".join(part["message"]["content"] for part in parts) == "one two three "
    check_end(end)
    assert end["message"] == {"role": "assistant", "content": ""}
    assert end["eval_count"] == 4
    assert end["prompt_eval_count"] > 4


def test_chat_answers_whole(vision: Running) -> None:
    value = chat(vision, {"role": "user", "content": "one two"}, stream=False).json()
    check_end(value)
    assert value["message"] == {"role": "assistant", "content": "one two "}
    cut = chat(vision, order(count=9), stream=False, options={"num_predict": 2}).json()
    check_end(cut, "length")


def test_generate_streams_and_answers_whole(vision: Running) -> None:
    *parts, end = lines(generate(vision, "one \u2028two", images=[BARE, BARE]))
    assert "".join(part["response"] for part in parts) == "one two "
    check_end(end)
    assert end["response"] == ""
    value = generate(vision, "one", stream=False).json()
    check_end(value)
    assert value["response"] == "one "


def test_images_and_system_reach_the_model(vision: Running) -> None:
    prompt = json.dumps({"echo": 1})
    got = asked(generate(vision, prompt, system="Be brief.", images=[BARE, URI], stream=False))
    assert [message["role"] for message in got["messages"]] == ["system", "user"]
    assert [part["type"] for part in got["messages"][1]["content"]] == ["image", "image", "text"]
    message = {"role": "user", "content": "What?", "images": [BARE]}
    got = asked(chat(vision, message, order(echo=1), stream=False))
    assert [part["type"] for part in got["messages"][0]["content"]] == ["image", "text"]


def test_options_reach_the_engine(vision: Running) -> None:
    options = {
        "num_predict": 7,
        "temperature": 0.3,
        "top_k": 5,
        "top_p": 0.8,
        "seed": 42,
        "stop": ["END", ""],
        "repeat_penalty": 1.2,
        "presence_penalty": 0.5,
        "frequency_penalty": -0.5,
        **{"num_ctx": 8192, "min_p": 0.1, "mirostat": 0, "num_gpu": 1, "repeat_last_n": 64, "num_keep": 5},
    }
    got = asked(chat(vision, order(echo=1), stream=False, options=options))
    for name, value in {
        "max_tokens": 7,
        "temperature": 0.3,
        "top_k": 5,
        "top_p": 0.8,
        "seed": 42,
        "stop": ["END"],
        "repetition_penalty": 1.2,
        "presence_penalty": 0.5,
        "frequency_penalty": -0.5,
    }.items():
        assert got[name] == value, name
    for length in (-1, -2, 10**9):
        got = asked(chat(vision, order(echo=1), stream=False, options={"num_predict": length}))
        assert got["max_tokens"] == 512


def test_format_asks_for_json(vision: Running) -> None:
    for kind, words in (("json", '{"a": 1}'), ({"type": "object", "required": ["a"]}, '{"a": 1}')):
        value = chat(vision, order(words=[words]), stream=False, format=kind).json()
        assert json.loads(value["message"]["content"]) == {"a": 1}
    reply = chat(vision, order(words=["no"]), stream=False, format="json")
    assert reply.status_code == 502
    assert set(reply.json()) == {"error"}
    cut = chat(vision, order(words=['{"a": ', "1}"]), stream=False, format="json", options={"num_predict": 1})
    check_end(cut.json(), "length")


@pytest.mark.parametrize("keep_alive", [300, -1, 0, "5m", "300s", "-1", "1h30m", "24h", "", None])
def test_keep_alive_is_read_in_every_form(vision: Running, keep_alive: Any) -> None:
    assert chat(vision, order(count=1), keep_alive=keep_alive).status_code == 200


def test_without_a_prompt_the_model_is_loaded(vision: Running) -> None:
    for value in (
        vision.client.post("/api/generate", json={"model": MODEL, "stream": False}).json(),
        vision.client.post("/api/chat", json={"model": MODEL, "messages": [], "stream": False}).json(),
        lines(vision.client.post("/api/generate", json={"model": MODEL, "keep_alive": "5m"}))[0],
    ):
        check_head(value)
        assert (value["done"], value["done_reason"]) == (True, "load")


def test_tags_list_every_name(vision: Running) -> None:
    models = vision.client.get("/api/tags").json()["models"]
    assert [entry["name"] for entry in models] == [MODEL, "fake-vl"]
    for entry in models:
        assert entry["model"] == entry["name"]
        assert STAMP.fullmatch(entry["modified_at"])
        assert re.fullmatch(r"[0-9a-f]{64}", entry["digest"])
        assert isinstance(entry["size"], int)
        assert set(entry["details"]) == {
            *("parent_model", "format", "family", "families", "parameter_size", "quantization_level")
        }


@pytest.mark.parametrize("name", [{"model": MODEL}, {"name": MODEL + ":latest"}, {"model": "fake-vl"}])
def test_show_tells_the_context_and_what_the_model_can_do(vision: Running, name: dict[str, str]) -> None:
    value = vision.client.post("/api/show", json=name).json()
    assert value["capabilities"] == ["completion", "vision", "tools"]
    architecture = value["model_info"]["general.architecture"]
    assert value["model_info"][f"{architecture}.context_length"] == 2048
    assert value["parameters"] == "num_ctx 2048"
    for field in ("modelfile", "template", "license", "details", "modified_at"):
        assert field in value


def test_ps_and_version(vision: Running) -> None:
    (entry,) = vision.client.get("/api/ps").json()["models"]
    assert (entry["name"], entry["context_length"]) == (MODEL, 2048)
    assert STAMP.fullmatch(entry["expires_at"])
    told = vision.client.get("/api/version").json()
    assert told["hailo_vision"] == __version__
    # What Copilot in VS Code asks for, which refuses older servers.
    assert tuple(map(int, told["version"].split("."))) >= (0, 6, 4)
    assert vision.client.head("/").status_code == 200


def test_pull_of_what_is_here_succeeds_and_of_another_says_how_it_gets_here(vision: Running) -> None:
    assert lines(vision.client.post("/api/pull", json={"model": MODEL}))[-1] == {"status": "success"}
    whole = vision.client.post("/api/pull", json={"name": MODEL, "stream": False})
    assert whole.json() == {"status": "success"}
    reply = vision.client.post("/api/pull", json={"model": "llava"})
    assert reply.status_code == 404
    assert "hailo-ctl models" in reply.json()["error"]


@pytest.mark.parametrize("path", ["embed", "embeddings", "create", "copy", "push", "delete"])
def test_what_is_not_done_is_a_clear_501(vision: Running, path: str) -> None:
    reply = vision.client.post(f"/api/{path}", json={"model": MODEL, "input": "x"})
    assert reply.status_code == 501
    assert "embeddings" in reply.json()["error"]


@pytest.mark.parametrize(
    ("path", "change", "status", "words"),
    [
        ("chat", {"model": "llava"}, 404, MODEL),
        ("chat", {"model": 5}, 400, "model"),
        ("chat", {"messages": "Hi"}, 400, "messages"),
        ("chat", {"messages": [asking("http://x/y.jpg")]}, 400, "fetches"),
        ("chat", {"messages": [asking("%%%")]}, 400, "character 1"),
        ("chat", {"images": [BARE]}, 400, "images of a message"),
        ("chat", {"options": {"temperature": 9}}, 400, "temperature"),
        ("chat", {"options": {"num_predict": "x"}}, 400, "num_predict"),
        ("chat", {"options": []}, 400, "options"),
        ("chat", {"format": "xml"}, 400, "format"),
        ("chat", {"think": True}, 400, "think"),
        ("chat", {"keep_alive": "soon"}, 400, "keep_alive"),
        ("chat", {"stream": "yes"}, 400, "stream"),
        ("generate", {"raw": True}, 400, "raw"),
        ("generate", {"suffix": "x"}, 400, "suffix"),
        ("generate", {"template": "x"}, 400, "template"),
        ("generate", {"images": "x" * 9}, 400, "images"),
        ("generate", {"images": [base64.b64encode(b"%PDF-1.4").decode()]}, 400, "PDF"),
        ("generate", {"prompt": 5}, 400, "prompt"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_error_is_a_string(
    vision: Running, path: str, change: dict[str, Any], status: int, words: str
) -> None:
    value = {"model": MODEL, "messages": [order(count=1)], "prompt": "x", **change}
    reply = vision.client.post(f"/api/{path}", json=value)
    assert reply.status_code == status
    assert set(reply.json()) == {"error"}
    assert words in reply.json()["error"]


def test_an_error_in_a_stream_is_its_last_line(vision: Running) -> None:
    *parts, last = lines(chat(vision, order(words=["a ", "b "], late_act="raise")))
    assert set(last) == {"error"}
    assert isinstance(last["error"], str)
    assert all("error" not in part for part in parts)
    reply = chat(vision, order(act="raise"))
    assert (reply.status_code, set(reply.json())) == (500, {"error"})
    bad = vision.client.post("/api/chat", content="{")
    assert (bad.status_code, set(bad.json())) == (400, {"error"})


def test_tools_of_a_conversation_are_read(vision: Running) -> None:
    call = {"function": {"name": "on", "arguments": {"a": 1}}}
    messages = [
        {"role": "user", "content": "Light on", "images": []},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_name": "on", "content": "ok"},
    ]
    got = asked(chat(vision, *messages, order(echo=1), stream=False))["messages"]
    assert (got[1]["content"], got[1]["calls"]) == ([], [["", "on", {"a": 1}]])
    assert (got[2]["content"][0]["text"], got[2]["result"]) == ("ok", ["", "on"])


FIELDS: dict[str, list[Any]] = {
    "model": [MODEL, "", None, 5, "x" * 500, [], "fake-vl:latest"],
    "messages": [[], None, "x", [{}], [{"role": "user"}], [asking(BARE)], [asking("%")]],
    "prompt": ["hi", "", None, 5, "😀" * 50],
    "images": [[], None, [BARE], ["%"], "x", {"a": 1}],
    "system": ["s", None, 5],
    "format": ["json", "", {}, {"type": "object"}, {"$ref": "#"}, [], 5],
    "options": [{}, None, [], {"num_predict": 2}, {"temperature": "x"}, {"stop": ["x" * 300]}, {"seed": -1}],
    "stream": [True, False, None, 1, "x"],
    "keep_alive": ["5m", -1, "x", [], 1e308, "9" * 400, True],
    "think": [False, True, "high", None],
    "raw": [True, False],
    "tools": [[], None, [{"type": "function"}]],
}


@pytest.mark.parametrize("path", ["chat", "generate", "show", "pull"])
def test_whatever_comes_the_answer_is_one_that_is_documented(vision: Running, path: str) -> None:
    for reply in answers_to_anything(vision, f"/api/{path}", FIELDS, path):
        for line in reply.text.splitlines():
            assert isinstance(json.loads(line), dict)


def test_other_formats_are_answered(vision: Running) -> None:
    for kind in ("GIF", "BMP", "TIFF"):
        image = base64.b64encode(encode(scene(320, 240), kind)).decode()
        assert generate(vision, "one", images=[image], stream=False).json()["response"] == "one "


LAMP = {
    "type": "function",
    "function": {
        "name": "lamp",
        "parameters": {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"]},
    },
}


def test_a_call_is_an_object_in_a_message(vision: Running) -> None:
    """As Ollama's documentation has it: arguments are an object, and the whole call is in one line."""
    said = "\n".join(call_text("lamp", arguments) for arguments in ('{"on": true}', '{"on": false}'))
    for order_text in (f"Sure. {said}", said):
        message = order(words=[order_text])
        value = chat(vision, message, stream=False, tools=[LAMP]).json()
        check_end(value)
        *parts, end = lines(chat(vision, message, tools=[LAMP]))
        check_end(end)
        streamed = [call for part in parts for call in part["message"].get("tool_calls", [])]
        for calls in (value["message"]["tool_calls"], streamed):
            assert [call["function"] for call in calls] == [
                {"index": 0, "name": "lamp", "arguments": {"on": True}},
                {"index": 1, "name": "lamp", "arguments": {"on": False}},
            ]
        assert all(part["done"] is False for part in parts)
        assert "<tool_call>" not in value["message"]["content"]


def test_a_call_that_is_none_is_asked_for_again_and_then_an_error(vision: Running) -> None:
    bad = json.dumps({"sticky": [call_text("lamp", "{}")] * 2})
    reply = chat(vision, {"role": "user", "content": bad}, tools=[LAMP], stream=False)
    assert (reply.status_code, set(reply.json())) == (502, {"error"})
    assert "tools" in reply.json()["error"]
    reply = chat(vision, order(count=1), tools=[{"type": "function"}])
    assert (reply.status_code, "tools[0].name" in reply.json()["error"]) == (400, True)


def test_a_marker_in_a_text_is_where_its_image_stands(vision: Running) -> None:
    """As Ollama replaces `[img]`; Frigate writes it before each frame's caption."""
    text = json.dumps({"echo": True})
    for content, kinds in (
        (f"one [img] two [img]\n{text}", ["text", "image", "text", "image", "text"]),
        (f"[img]{text}", ["image", "image", "text"]),
        (f"[img] [img] [img] [img]{text}", ["image", "text", "image", "text"]),
    ):
        message = {"role": "user", "content": content, "images": [BARE, BARE]}
        reply = chat(vision, message, order(echo=True), stream=False)
        parts = asked(reply)["messages"][0]["content"]
        assert [part["type"] for part in parts] == kinds
