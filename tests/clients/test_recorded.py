"""What programs send that cannot run here, as their sources have it: Home Assistant, Frigate, LLM Vision.

Frigate of 2026-07 and later, Home Assistant 2026.11, LLM Vision 1.7, hass_local_openai_llm 1.11.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.clients.conftest import CIRCLE, PAIR
from tests.hailo_florence.api.running import Running

MODEL = "qwen2-vl-2b-instruct"
BARE = CIRCLE.partition(",")[2]
TURN_ON = {
    "type": "function",
    "function": {
        "name": "HassTurnOn",
        "description": "Turns on/opens/presses a device or entity.",
        "parameters": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "domain": {"type": "array", "items": {"type": "string"}},
            },
            "required": [],
        },
    },
}
TOOLS = [
    {**TURN_ON, "function": {**TURN_ON["function"], "name": f"Hass{index}"}}  # type: ignore[dict-item]
    for index in range(11)
]
CALL = {"id": "call_1", "type": "function", "function": {"name": "Hass1", "arguments": '{"name": "lamp"}'}}
SYSTEM = {"role": "system", "content": "You are a voice assistant for Home Assistant."}


def image(url: str = CIRCLE, **more: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **more}}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def chat(vision: Running, *messages: Any, path: str = "/v1/chat/completions", **more: Any) -> Any:
    reply = vision.client.post(path, json={"model": MODEL, "messages": list(messages), **more})
    assert reply.status_code == 200, reply.text
    if more.get("stream"):
        return [json.loads(line[6:]) for line in reply.text.splitlines() if line.startswith("data: {")]
    return reply.json()


def said(reply: Any) -> str:
    return str(reply["choices"][0]["message"]["content"])


def test_frigate_openai(vision: Running) -> None:
    models = vision.client.get("/v1/models").json()["data"]
    found = next(model for model in models if model["id"] == MODEL)
    assert found["max_model_len"] == 2048
    asked = user(image(detail="low"), image(PAIR, detail="low"), text("Which image has more objects?"))
    assert said(chat(vision, asked)) == "The second image."


def test_frigate_azure_openai(vision: Running) -> None:
    version = {"api-version": "2025-04-01-preview"}
    listed = vision.client.get("/openai/models", params=version, headers={"api-key": "any"})
    assert MODEL in [model["id"] for model in listed.json()["data"]]
    asked = {"messages": [user(text("What color is the circle?"), image(detail="low"))], "model": MODEL}
    path = f"/openai/deployments/{MODEL}/chat/completions"
    reply = vision.client.post(path, params=version, json=asked, headers={"api-key": "any"})
    assert said(reply.json()) == "red"


def test_frigate_llamacpp(vision: Running) -> None:
    models = vision.client.get("/v1/models").json()["data"]
    entry = next(model for model in models if MODEL in {model["id"], *model["aliases"]})
    assert "image" in entry["architecture"]["input_modalities"]
    assert entry["meta"]["n_ctx"] == 2048
    props = vision.client.get("/props", params={"model": MODEL})
    assert props.status_code == 200
    assert props.json()["modalities"]["vision"] is True
    asked = user(text("What color is the circle?"), image())
    assert (
        said(chat(vision, asked, temperature=0.0, chat_template_kwargs={"enable_thinking": False})) == "red"
    )


def test_frigate_ollama(vision: Running) -> None:
    shown = vision.client.post("/api/show", json={"model": MODEL}).json()
    assert "error" not in shown
    assert "vision" in shown["capabilities"]
    options = {"temperature": 0.5, "repeat_penalty": 1.05, "presence_penalty": 0.3}
    message = {"role": "user", "content": "[img]\nDescribe the image.", "images": [BARE]}
    body = {"model": MODEL, "messages": [message], "tools": [], "stream": False, "think": False}
    reply = vision.client.post("/api/chat", json={**body, "options": options, "format": None})
    assert reply.status_code == 200, reply.text
    assert reply.json()["message"]["content"]
    probe = {"role": "user", "content": ".", "images": [BARE]}
    counted = vision.client.post(
        "/api/chat", json={**body, "messages": [probe], "options": {**options, "num_predict": 1}}
    )
    assert counted.json()["prompt_eval_count"] > 48


def test_frigate_chat_with_tools_that_were_called(vision: Running) -> None:
    result = {"role": "tool", "tool_call_id": "call_1", "content": '{"cameras": ["porch"]}'}
    called = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    question = {"role": "user", "content": "Who are you?"}
    assert said(chat(vision, SYSTEM, question, called, result, tools=TOOLS, tool_choice="auto"))


def test_home_assistant_llama_cpp(vision: Running) -> None:
    assert vision.client.get("/v1/models").json()["data"][0]["id"] == MODEL
    probe = [{"role": "user", "content": "ping"}]
    assert chat(vision, *probe, stream=True, tools=TOOLS[:1])[-1]["choices"]
    content = user(text("What color is the circle?"), image(detail="auto"))
    parts = chat(vision, content, stream=True, stream_options={"include_usage": True})
    pieces = [part["choices"][0]["delta"].get("content") or "" for part in parts if part["choices"]]
    assert "".join(pieces) == "red"
    assert parts[-1]["usage"]["completion_tokens"] == 2
    result = {"role": "tool", "tool_call_id": "call_1", "content": '{"success": true}'}
    called = {"role": "assistant", "content": "", "tool_calls": [CALL]}
    assert chat(vision, SYSTEM, *probe, called, result, tools=TOOLS, stream=True)[-1]["choices"]


def test_home_assistant_ollama(vision: Running) -> None:
    names = [each["model"] for each in vision.client.get("/api/tags").json()["models"]]
    assert names[0] == MODEL
    message = {"role": "user", "content": "What color is the circle?", "images": [BARE]}
    for keep_alive in (-1, "300s"):
        body = {"model": MODEL, "messages": [message], "stream": True, "keep_alive": keep_alive}
        reply = vision.client.post(
            "/api/chat",
            json={**body, "options": {"num_ctx": 8192}, "think": False, "tools": [], "format": None},
        )
        assert reply.status_code == 200, reply.text
        lines = [json.loads(line) for line in reply.text.splitlines()]
        assert "".join(line["message"]["content"] for line in lines) == "red"
    call = {"function": {"name": "Hass1", "arguments": {"name": "lamp"}}}
    history = [
        *({"role": "system", "content": SYSTEM["content"]}, {"role": "user", "content": "Turn it on"}),
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": '{"data": {}, "error": null}'},
    ]
    body = {"model": MODEL, "messages": history, "tools": TOOLS, "stream": True, "keep_alive": -1}
    reply = vision.client.post("/api/chat", json=body)
    assert reply.status_code == 200, reply.text
    assert json.loads(reply.text.splitlines()[-1])["done"] is True


def test_hass_local_openai_llm(vision: Running) -> None:
    pytest.importorskip("llguidance", reason="llguidance comes with `make venv`; Debian 13 has none")
    schema = {
        "type": "object",
        "properties": {
            "color": {"type": "string", "enum": ["red", "blue"]},
            "shape": {"type": "string", "enum": ["circle", "square"]},
        },
        "required": ["color", "shape"],
        "additionalProperties": False,
        "strict": True,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "Front Door", "strict": True, "schema": schema}}
    asked = user(text("Answer as JSON with the keys color and shape."), image())
    more: dict[str, Any] = {
        "min_p": 0.05,
        "id_slot": 0,
        "chat_template_kwargs": {"enable_thinking": False},
        "user": "1",
    }
    reply = chat(vision, asked, response_format=wanted, temperature=0.0, parallel_tool_calls=True, **more)
    assert json.loads(said(reply)) == {"color": "red", "shape": "circle"}


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/chat/completions", "/chat/completions"),
        "/api/chat/completions",  # its provider of Open WebUI
        "/",  # the address alone
        f"/openai/deployments/{MODEL}/chat/completions?api-version=2025-04-01-preview",
    ],
)
def test_llm_vision(vision: Running, path: str) -> None:
    developer = {"role": "system", "content": "Your task is to analyze images."}
    asked = user(text("Image 1:"), image(detail="high"), text("What color is the circle?"))
    length = {"max_completion_tokens": 3000, "temperature": 0.0, "top_p": 0.9}
    assert said(chat(vision, developer, asked, path=path, **length))
    title = [user(text("Write a short title.")), user(text("Create a title for this text: A red circle."))]
    assert said(chat(vision, *title, path=path, max_completion_tokens=4096))
    assert vision.client.get("/readyz").status_code == 200
