"""Later requests meet the node that has what they go on from, whatever the dialect."""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import httpx
import pytest

from tests.fleet.gateway import ADDRESS, ADDRESSES, DEADLINE_S, Gateway
from tests.fleet.nodes import PORT, Node

pytestmark = pytest.mark.fleet
RESPONSES = "/v1/responses"
Turns = list[dict[str, Any]]


def _post(path: str, body: dict[str, Any], **headers: str) -> httpx.Response:
    data = json.dumps(body).encode()
    if headers.get("Content-Encoding") == "gzip":
        data = gzip.compress(data)
    headers = {"Content-Type": "application/json", **headers}
    return httpx.post(f"http://{ADDRESS}{path}", content=data, headers=headers, timeout=DEADLINE_S)


def _picture(number: int, size: int = 300_000) -> str:
    """Base64 that fills the gateway's buffer, or less."""
    return "".join(random.Random(number).choices("ABCDEFGHabcdefgh0123456789+/", k=size))


def _openai(number: int, turns: Turns) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": f"what is {number}"}, *turns], "model": "m"}


def _tools_first(number: int, turns: Turns) -> dict[str, Any]:
    """Fields named like the one that is looked for stand in others before it."""
    schema = {"properties": {"messages": {"enum": ["messages", 1]}}, "required": ["messages"], "x": [[1, {}]]}
    tools = [{"type": "function", "function": {"name": "f", "parameters": schema}}]
    seed = {"seed": 7, "stream": False, "temperature": 0.5, "stop": None}
    return {**seed, "tools": tools, "messages": _openai(number, turns)["messages"]}


def _anthropic(number: int, turns: Turns) -> dict[str, Any]:
    asked = {"role": "user", "content": [{"type": "text", "text": f"what is {number}"}]}
    return {"model": "m", "system": [{"type": "text", "text": "Be brief."}], "messages": [asked, *turns]}


def _ollama(number: int, turns: Turns) -> dict[str, Any]:
    asked = {"role": "user", "content": f"what is {number}", "images": [_picture(number)]}
    return {"model": "m", "messages": [{"role": "system", "content": "Be brief."}, asked, *turns]}


def _items(number: int, turns: Turns) -> dict[str, Any]:
    asked = {"role": "user", "content": [{"type": "input_text", "text": f"what is {number}"}]}
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    return {"input": [asked, *([call, *turns] if turns else [])], "model": "m", "store": False}


DIALECTS = [
    *((path, _openai) for path in ("/v1/chat/completions", "/chat/completions/", "/v1/v1/chat/completions")),
    *((path, _tools_first) for path in ("/openai/deployments/m/chat/completions",)),
    *((path, _anthropic) for path in ("/v1/messages", "/messages", "/v1/messages/count_tokens")),
    *((path, _ollama) for path in ("/api/chat", "/v1/api/chat")),
    *((path, _items) for path in (RESPONSES, "/responses", "/openai/responses/")),
]


@pytest.mark.parametrize(("path", "body"), DIALECTS)
def test_every_dialects_later_questions_go_where_the_conversation_is(
    gateway: Gateway, nodes: list[Node], path: str, body: Any
) -> None:
    with gateway.running(3):
        for number in range(6):
            first = _post(path, body(number, [])).json()["node"]
            turns: Turns = []
            for turn in range(3):
                turns += [{"role": "assistant", "content": f"answer {turn}"}]
                turns += [{"role": "user", "content": "and then?"}]
                assert _post(path, body(number, turns)).json()["node"] == first, (number, turn)
    assert all(node.seen for node in nodes), "different conversations are spread"


def _going_on(length: int, *, stream: bool = False) -> dict[str, Any]:
    """A request whose previous_response_id comes last, as OpenAI's client writes it."""
    parts = [{"type": "input_text", "text": "what is it?"}]
    if length:
        url = f"data:image/jpeg;base64,{_picture(length, length)}"
        parts.append({"type": "input_image", "image_url": url})
    return {"input": [{"role": "user", "content": parts}], "model": "m", "stream": stream}


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_gone_on_from_where_it_is_kept(
    gateway: Gateway, nodes: list[Node], stream: bool
) -> None:
    with gateway.running(3):
        told = [_post(RESPONSES, _going_on(3000, stream=stream)) for _ in range(6)]
        assert all(node.answers for node in nodes), "answers are spread"
        ids = [each.headers["x-response-id"] for each in told]
        for number in random.Random(3).sample(ids * 2, 12):
            after = _post(RESPONSES, {**_going_on(20_000), "previous_response_id": number})
            assert after.status_code == 200, after.text
            assert httpx.get(f"http://{ADDRESS}{RESPONSES}/{number}").status_code == 200
        chain = _post(RESPONSES, {"previous_response_id": ids[0], "input": "and then?"})
        again = _post(
            RESPONSES, {"input": "and then?", "previous_response_id": chain.headers["x-response-id"]}
        )
        assert again.json()["node"] == chain.json()["node"]
        for wrong in ("resp_of_nobody", 7, None, "x" * 5000, {"a": 1}):
            reply = _post(RESPONSES, {"input": "Hi", "previous_response_id": wrong})
            assert reply.status_code == (200 if wrong is None else 400)


@pytest.mark.parametrize("how", ["behind a picture", "compressed"])
def test_an_id_that_the_gateway_does_not_see_goes_to_the_clients_last_node(
    gateway: Gateway, nodes: list[Node], how: str
) -> None:
    headers = {"Content-Encoding": "gzip"} if how == "compressed" else {}
    with gateway.running(3):
        for _ in range(6):
            number = _post(RESPONSES, _going_on(0)).json()["id"]
            body = {**_going_on(300_000), "previous_response_id": number}
            assert _post(RESPONSES, body, **headers).status_code == 200


def test_a_reload_forgets_no_conversation_and_no_answer(gateway: Gateway, nodes: list[Node]) -> None:
    with gateway.running(3):
        ids = [_post(RESPONSES, _going_on(0)).json()["id"] for _ in range(6)]
        first = [_post("/api/chat", _ollama(number, [])).json()["node"] for number in range(6)]
        gateway.reload()
        gateway.await_nodes(3)
        for number in random.Random(3).sample(ids, 6):
            assert _post(RESPONSES, {"input": "Hi", "previous_response_id": number}).status_code == 200
        turns = [{"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}]
        again = [_post("/api/chat", _ollama(number, turns)).json()["node"] for number in range(6)]
        assert again == first


def _ready(address: str) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(f"http://{address}:{PORT}/health/ready").status_code == 200
    return False


@contextmanager
def _service(address: str) -> Iterator[None]:
    """hailo-vision on its demo model at a node's address."""
    words = ["-m", "hailo_vision", "--demo", "shapes", "--host", address, "--port", str(PORT)]
    popen = subprocess.Popen([sys.executable, *words], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + DEADLINE_S
    try:
        while not _ready(address):
            assert time.monotonic() < deadline, "the service starts"
            time.sleep(0.2)
        yield
    finally:
        popen.terminate()
        popen.wait(35)


@pytest.mark.parametrize("stream", [False, True])
def test_real_nodes_go_on_from_their_answers(gateway: Gateway, stream: bool) -> None:
    """The header by which the gateway learns is the service's own."""
    with ExitStack() as running:
        for address in ADDRESSES[:2]:
            running.enter_context(_service(address))
        gateway.set(nodes=" ".join(ADDRESSES[:2]))
        running.enter_context(gateway.running(2))
        replies = [_post(RESPONSES, {"input": f"one {n}", "stream": stream}) for n in range(6)]
        assert [each.status_code for each in replies] == [200] * 6, replies[0].text
        ids = [each.headers["x-response-id"] for each in replies]
        assert all(number in reply.text for number, reply in zip(ids, replies, strict=True))
        for number in random.Random(3).sample(ids, 6):
            after = _post(RESPONSES, {"input": "two", "previous_response_id": number, "stream": stream})
            assert after.status_code == 200, after.text
            assert httpx.get(f"http://{ADDRESS}{RESPONSES}/{number}").json()["id"] == number
            assert httpx.delete(f"http://{ADDRESS}{RESPONSES}/{number}").json()["deleted"] is True
        gone = _post(RESPONSES, {"input": "two", "previous_response_id": ids[0]}).json()["error"]
        assert gone["code"] == "previous_response_not_found"
        assert "Send the conversation again" in gone["message"]
        kept = _post(RESPONSES, {"input": "one", "store": False}).headers
        assert "x-response-id" not in kept
