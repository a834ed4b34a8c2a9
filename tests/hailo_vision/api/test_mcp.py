"""The Model Context Protocol at `/mcp`, message by message, over the fake engine."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.hailo_florence.api.running import FAKE_VISION, Running, started
from tests.hailo_vision.api.conftest import URI

HANDSHAKE = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
STATELESS = "2026-07-28"
META = "io.modelcontextprotocol/"
KEY = "a-key-for-mcp"
PAGE = "https://inspector.example"


@pytest.fixture(scope="module")
def quick() -> Iterator[Running]:
    """A service whose clients hear after 0.2 s that an answer is being made."""
    code = (
        "import sys; from dataclasses import replace; from hailo_common.web.mcp import routes;"
        "add = routes.add_mcp; import hailo_vision.api.mcp.routes as own;"
        "own.add_mcp = lambda app, server: add(app, replace(server, quiet_s=0.2));"
        "from tests.hailo_florence.api.fake_service import main; sys.exit(main())"
    )
    with started_code(code) as running:
        yield running


def started_code(code: str) -> Any:
    """A fake service whose process first does what `code` says."""
    return started(("tests.hailo_vision.api.run_code", code, *FAKE_VISION[1:]))


@pytest.fixture(scope="module")
def closed() -> Iterator[Running]:
    with started(
        FAKE_VISION, "--settings", json.dumps({"api_keys": [KEY], "cors_origins": [PAGE]})
    ) as running:
        yield running


def send(running: Running, value: Any, **headers: str) -> httpx.Response:
    return running.client.post("/mcp", json=value, headers=headers)


def rpc(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}


def modern(running: Running, method: str, headers: dict[str, str] | None = None, **params: Any) -> Any:
    """The reply to a stateless request whose headers say what they must, but for `headers`."""
    meta = {f"{META}protocolVersion": STATELESS, f"{META}clientCapabilities": {}}
    own = {"mcp-protocol-version": STATELESS, "mcp-method": method, "mcp-name": params.get("name", "")}
    value = rpc(method, _meta={**meta, **params.pop("_meta", {})}, **params)
    return running.client.post("/mcp", json=value, headers={**own, **(headers or {})})


def ask(**arguments: Any) -> dict[str, Any]:
    return {"name": "ask_image", "arguments": arguments}


def order(**what: Any) -> dict[str, Any]:
    return ask(image=URI, question=json.dumps(what))


def result(reply: httpx.Response) -> dict[str, Any]:
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == "application/json"
    value = reply.json()
    assert (value["jsonrpc"], value["id"]) == ("2.0", 7)
    return dict(value["result"])


def refusal(reply: httpx.Response, status: int, code: int) -> dict[str, Any]:
    assert reply.status_code == status, reply.text
    assert reply.json()["error"]["code"] == code
    return dict(reply.json())


@pytest.mark.parametrize("version", HANDSHAKE)
def test_a_revision_that_is_known_is_agreed_to(vision: Running, version: str) -> None:
    told = result(send(vision, rpc("initialize", protocolVersion=version, capabilities={}, clientInfo={})))
    assert told["protocolVersion"] == version
    assert told["capabilities"] == {"tools": {}}
    assert told["serverInfo"]["name"] == "hailo-vision"
    assert "resultType" not in told
    assert result(send(vision, rpc("ping"), **{"mcp-protocol-version": version})) == {}


def test_of_an_unknown_revision_the_newest_with_a_handshake_is_offered(vision: Running) -> None:
    assert (
        result(send(vision, rpc("initialize", protocolVersion="1999-01-01")))["protocolVersion"]
        == (HANDSHAKE[-1])
    )
    value = refusal(send(vision, rpc("ping"), **{"mcp-protocol-version": "1999-01-01"}), 400, -32022)
    assert value["error"]["data"] == {"supported": [*HANDSHAKE, STATELESS], "requested": "1999-01-01"}
    assert value["id"] == 7


def test_a_stateless_request_needs_no_handshake(vision: Running) -> None:
    told = result(modern(vision, "server/discover"))
    assert STATELESS in told["supportedVersions"]
    assert (told["resultType"], told["cacheScope"]) == ("complete", "private")
    assert told["_meta"][f"{META}serverInfo"]["name"] == "hailo-vision"
    listed = result(modern(vision, "tools/list"))
    assert [tool["name"] for tool in listed["tools"]] == ["ask_image", "describe_image"]
    answer = result(modern(vision, "tools/call", **ask(image=URI, question="What is it?")))
    assert answer["content"] == [{"type": "text", "text": "What is it? "}]
    assert answer["structuredContent"]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("headers", "meta", "status", "code"),
    [
        ({"mcp-method": "tools/call"}, {}, 400, -32020),
        ({"mcp-protocol-version": "2025-11-25"}, {}, 400, -32020),
        ({}, {f"{META}protocolVersion": "2025-11-25"}, 400, -32020),
        (
            {"mcp-protocol-version": "2025-11-25"},
            {f"{META}protocolVersion": "2025-11-25"},
            400,
            -32022,
        ),
    ],
    ids=["method", "header's revision", "body's revision", "a revision with a handshake"],
)
def test_headers_and_body_must_agree(
    vision: Running, headers: dict[str, str], meta: dict[str, Any], status: int, code: int
) -> None:
    refusal(modern(vision, "tools/list", headers, _meta=meta), status, code)


def test_a_stateless_request_says_what_it_must(vision: Running) -> None:
    headers = {"mcp-protocol-version": STATELESS, "mcp-method": "tools/list"}
    value = refusal(send(vision, rpc("tools/list"), **headers), 400, -32602)
    assert "clientCapabilities" in value["error"]["message"]
    wrong = modern(vision, "tools/call", {"mcp-name": "describe_image"}, **ask(image=URI, question="Hi"))
    refusal(wrong, 400, -32020)
    encoded = {"mcp-name": "=?base64?YXNrX2ltYWdl?="}
    assert not result(modern(vision, "tools/call", encoded, **ask(image=URI, question="Hi")))["isError"]


def test_what_is_not_there_is_said_so_in_both_kinds_of_revisions(vision: Running) -> None:
    assert refusal(send(vision, rpc("resources/list")), 200, -32601)["id"] == 7
    refusal(modern(vision, "resources/list"), 404, -32601)
    refusal(send(vision, rpc("server/discover")), 200, -32601)
    refusal(modern(vision, "initialize"), 404, -32601)
    value = refusal(send(vision, rpc("tools/call", name="paint")), 200, -32602)
    assert "ask_image" in value["error"]["message"]
    refusal(send(vision, rpc("tools/call", name="ask_image", arguments=[1])), 200, -32602)
    refusal(send(vision, rpc("tools/list", cursor="2")), 200, -32602)


def test_nobody_waits_for_notifications_and_responses(vision: Running) -> None:
    for value in (
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 3, "result": {}},
    ):
        reply = send(vision, value)
        assert (reply.status_code, reply.content) == (202, b"")


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ({}, -32600),
        ({"jsonrpc": "1.0", "id": 1, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": None, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": True, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": "x" * 300, "method": "ping"}, -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": 5}, -32600),
        ({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": [1]}, -32602),
        ([], -32700),
        ([{"jsonrpc": "2.0", "id": 1, "method": "ping"}], -32700),
    ],
)
def test_what_is_no_message_is_refused(vision: Running, value: Any, code: int) -> None:
    assert refusal(send(vision, value), 400, code)["jsonrpc"] == "2.0"


def test_errors_before_the_message_are_json_rpc_too(vision: Running) -> None:
    broken = vision.client.post("/mcp", content=b"{", headers={"content-type": "application/json"})
    assert refusal(broken, 400, -32700)["id"] is None
    large = vision.client.post(
        "/mcp", content=b" " * (33 << 20), headers={"content-type": "application/json"}
    )
    assert refusal(large, 413, -32600)["error"]["data"]["code"] == "body_too_large"
    unasked = vision.client.get("/mcp")
    assert (unasked.status_code, unasked.headers["allow"]) == (405, "POST")
    assert unasked.json()["error"]["data"]["code"] == "method_not_allowed"
    assert vision.client.delete("/mcp").status_code == 405


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"question": "What is it?"}, "image is required"),
        ({"image": URI}, "question"),
        ({"image": URI, "question": " "}, "question"),
        ({"image": "https://192.0.2.1/a.png", "question": "What?"}, "image"),
        ({"image": "data:image/png;base64,AAAA", "question": "What?"}, "image"),
        ({"image": URI, "more_images": URI, "question": "What?"}, "more_images"),
        ({"image": URI, "more_images": [URI] * 16, "question": "What?"}, "at most 16"),
        ({"image": URI, "question": "What?", "model": "other"}, "no such model"),
        ({"image": URI, "question": "What?", "max_tokens": 0}, "max_tokens"),
    ],
)
def test_a_call_that_fails_tells_the_model_why(vision: Running, arguments: dict[str, Any], word: str) -> None:
    answer = result(send(vision, rpc("tools/call", **ask(**arguments))))
    assert answer["isError"] is True
    assert word in answer["content"][0]["text"]
    assert answer["_meta"]["hailo-vision/code"]
    assert "structuredContent" not in answer


def test_what_the_engine_is_asked(vision: Running) -> None:
    call = ask(image=URI, more_images=[{"url": URI}], question=json.dumps({"echo": True}), max_tokens=9)
    asked = json.loads(result(send(vision, rpc("tools/call", **call)))["content"][0]["text"])
    assert asked["max_tokens"] == 9
    assert [part["type"] for part in asked["messages"][0]["content"]] == ["image", "image", "text"]
    assert asked["temperature"] == 0
    call = {"name": "describe_image", "arguments": {"image": URI, "detail": "full"}}
    assert result(send(vision, rpc("tools/call", **call)))["structuredContent"]["text"] == (
        "Describe the image in detail. "
    )


def test_a_long_answer_keeps_its_client_waiting_awake(quick: Running) -> None:
    meta = {"progressToken": "p1"}
    value = rpc("tools/call", **order(words=["done"], prefill_s=0.7), _meta=meta)
    reply = send(quick, value, accept="application/json, text/event-stream")
    assert reply.headers["content-type"] == "text/event-stream"
    told = [json.loads(line[6:]) for line in reply.text.splitlines() if line.startswith("data: ")]
    assert [each["method"] for each in told[:-1]] == ["notifications/progress"] * (len(told) - 1)
    progress = [each["params"]["progress"] for each in told[:-1]]
    assert len(progress) >= 2
    assert progress == sorted(set(progress))
    assert told[-1]["result"]["content"][0]["text"] == "done"
    silent = send(
        quick, rpc("tools/call", **order(words=["done"], prefill_s=0.5)), accept="text/event-stream"
    )
    assert ": working" in silent.text
    plain = send(quick, rpc("tools/call", **order(words=["done"], prefill_s=0.5)), accept="application/json")
    assert result(plain)["content"][0]["text"] == "done"


def test_a_client_that_hangs_up_cancels_its_call(quick: Running) -> None:
    value = rpc("tools/call", **order(count=2000, word="x", step_s=0.01))
    idle = {"running": 0, "waiting": 0, "size": 8}
    with pytest.raises(httpx.ReadTimeout):
        quick.client.post("/mcp", json=value, headers={"accept": "application/json"}, timeout=1.0)
    quick.until(lambda: quick.health()["queue"] == idle, 5)
    with quick.client.stream("POST", "/mcp", json=value, headers={"accept": "text/event-stream"}) as reply:
        # The client hangs up as soon as nobody holds its lines.
        lines = reply.iter_lines()
        next(lines)
        quick.until(lambda: quick.health()["queue"]["running"] == 1, 5)
    quick.until(lambda: quick.health()["queue"] == idle, 5)


def test_a_full_queue_is_told_with_a_time(vision: Running) -> None:
    with started(FAKE_VISION, "--settings", '{"queue_size": 1}') as running:
        long = rpc("tools/call", **order(count=30, word="x", step_s=0.1))
        threads = [threading.Thread(target=send, args=(running, long)) for _ in range(2)]
        for thread in threads:
            thread.start()
        running.until(lambda: running.health()["queue"]["waiting"] == 1, 5)
        answer = result(send(running, rpc("tools/call", **ask(image=URI, question="Hi"))))
        for thread in threads:
            thread.join()
    assert answer["isError"]
    assert "Again in" in answer["content"][0]["text"]
    assert answer["_meta"]["hailo-vision/code"] == "queue_full"


def test_keys_names_and_pages_count_as_on_every_route(closed: Running) -> None:
    ping = rpc("ping")
    refused = refusal(send(closed, ping), 401, -32600)
    assert refused["error"]["data"]["code"] == "invalid_api_key"
    key = {"authorization": f"Bearer {KEY}"}
    assert result(send(closed, ping, **key)) == {}
    assert send(closed, ping, **key, origin="https://evil.example").status_code == 403
    assert send(closed, ping, **key, host="evil.example").status_code == 421
    mine = send(closed, ping, **key, origin=PAGE)
    assert mine.headers["access-control-allow-origin"] == PAGE


def test_random_messages_never_break_it(vision: Running) -> None:
    chance = random.Random(4)
    words: list[Any] = [
        "ping",
        "tools/call",
        "tools/list",
        "initialize",
        "ask_image",
        None,
        1,
        -1,
        True,
        "",
        {},
        [],
        2.5,
        URI,
    ]

    def any_value(depth: int) -> Any:
        if depth == 0 or chance.random() < 0.5:
            return chance.choice(words)
        names = ("name", "arguments", "_meta", "image", "question", "cursor", "more_images", "progressToken")
        return {chance.choice(names): any_value(depth - 1) for _ in range(chance.randrange(4))}

    before = len(vision.log)
    end = time.monotonic() + 4
    while time.monotonic() < end:
        value = {"jsonrpc": "2.0", "id": any_value(0), "method": any_value(0), "params": any_value(4)}
        for name in list(value):
            if chance.random() < 0.05:
                del value[name]
        reply = send(vision, value)
        assert reply.status_code in (200, 202, 400, 404), (value, reply.text)
        if reply.status_code != 202:
            assert ("result" in reply.json()) != ("error" in reply.json())
    assert "Traceback" not in vision.log[before:]
