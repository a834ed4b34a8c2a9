"""What holds in every dialect: a full queue says so in its own words, and nothing a client sends is a 500."""

from __future__ import annotations

import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from hailo_vision.api.messages import MAX_TEXT
from hailo_vision.protocol import call_text
from tests.dialect_fuzz import VISION, Seen, drive
from tests.hailo_florence.api.running import FAKE_VISION, Running, started
from tests.hailo_vision.api.conftest import URI

SLOW = json.dumps({"count": 3, "step_s": 0.2})
ASKED: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": SLOW}]},
    "/v1/completions": {"prompt": SLOW},
    "/v1/responses": {"input": SLOW},
    "/v1/messages": {"messages": [{"role": "user", "content": SLOW}]},
    "/api/chat": {"messages": [{"role": "user", "content": SLOW}], "stream": False},
    "/api/generate": {"prompt": SLOW, "stream": False},
}


@pytest.mark.parametrize("path", ASKED)
def test_a_flood_gets_its_places_and_refusals_with_a_time(path: str) -> None:
    """A16 of tests/threats.md: 30 at once over a queue of one running and three waiting."""
    settings = json.dumps({"queue_size": 3, "max_connections_per_peer": 100})
    with started(FAKE_VISION, "--settings", settings) as running:

        def post(_: int) -> httpx.Response:
            return httpx.post(f"http://127.0.0.1:{running.port}{path}", json=ASKED[path], timeout=60)

        with ThreadPoolExecutor(30) as threads:
            replies = list(threads.map(post, range(30)))
        refused = [reply for reply in replies if reply.status_code == 503]
        assert len(replies) - len(refused) == sum(reply.status_code == 200 for reply in replies) >= 4
        assert refused
        for reply in refused:
            assert int(reply.headers["retry-after"]) >= 1
            assert "queue of 3 is full" in reply.text
        assert running.health()["queue"] == {"running": 0, "waiting": 0, "size": 3}


ON = call_text("lamp", '{"on": true}')
SAID = [
    ON,
    ON * 3,
    "<tool_call>",
    "<tool_call>\n{",
    f"{ON[:-20]}",
    "",
    "[" * 300,
    '{"name": []}',
    "5",
    "null",
]
LAMP = {"name": "lamp", "parameters": {"type": "object", "properties": {"on": {"type": "boolean"}}}}
FIELDS: dict[str, list[Any]] = {
    "tools": [
        *([LAMP], [{"type": "function", "function": LAMP}], [], None, "x", [{}], [{"type": "mcp"}]),
        *([{**LAMP, "parameters": each}] for each in ({"$ref": "#"}, {"required": 5}, {"type": "array"})),
        *([{"name": f"t{number}"} for number in range(60)], [{"name": "x" * 200}], [{"name": "\u2028"}]),
    ],
    "tool_choice": [
        *("auto", "none", "required", "any", 5, [], {}, None),
        *({"type": "function", "function": {"name": "lamp"}}, {"type": "tool", "name": "x"}),
        *({"type": "allowed_tools", "tools": [LAMP], "mode": "auto"}, {"type": "allowed_tools", "mode": []}),
    ],
    "parallel_tool_calls": [True, False, 5],
    "response_format": [None, {"type": "json_object"}, {"type": "json_schema", "json_schema": {}}],
    "stream": [True, False],
    "max_tokens": [1, 20, 500, -1, "x", 1e300],
    "images": [[URI], "x", [5]],
    "suffix": ["", "x"],
    "echo": [False, True, 5],
    "logprobs": [0, None, 5],
}


def _asking(path: str, said: str) -> dict[str, Any]:
    text = json.dumps({"words": list(said)})
    messages = [{"role": "user", "content": text}]
    if path == "/v1/completions":
        return {"prompt": text}
    return {"input": messages} if path == "/v1/responses" else {"messages": messages}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"])
@pytest.mark.parametrize("constrained", [False, True])
def test_whatever_is_declared_and_said_the_answer_is_documented(path: str, *, constrained: bool) -> None:
    dice = random.Random(path)
    with started(FAKE_VISION, "--options", json.dumps({"constrained": constrained})) as running:
        for _ in range(150):
            names = dice.sample(sorted(FIELDS), dice.randrange(1, 4))
            more = {name: dice.choice(FIELDS[name]) for name in names}
            reply = running.client.post(path, json={**_asking(path, dice.choice(SAID)), **more})
            assert reply.status_code in (200, 400, 502), (more, reply.text)
            assert (reply.status_code == 502) <= (not constrained)
        _at_rest(running)


def _at_rest(running: Running) -> None:
    assert "Traceback" not in running.log
    health = running.health()
    assert (health["queue"]["running"], health["queue"]["waiting"]) == (0, 0)
    assert health["engine"]["restarts"] == 0
    assert health["memory_mb"]["http"] < 120


QUESTION = [{"type": "image_url", "image_url": {"url": URI}}, {"type": "text", "text": "What is it?"}]
ASKING = [{"role": "user", "content": QUESTION}]
LONG = "x" * (MAX_TEXT + 1)


def _memfds(running: Running) -> int:
    links = Path(f"/proc/{running.popen.pid}/fd").iterdir()
    return sum("memfd:upload" in str(link.readlink()) for link in links)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": ASKING, "stream": 5}),
        ("/v1/chat/completions", {"messages": ASKING, "stream_options": 5}),
        ("/v1/completions", {"prompt": "Hi", "images": [URI, "x"]}),
        ("/v1/vision/analyze", {"prompt": "Hi", "images": [URI], "stream": 5}),
        ("/v1/responses", {"input": ASKING, "instructions": LONG}),
        ("/v1/messages", {"messages": ASKING, "system": LONG}),
        ("/api/chat", {"messages": ASKING, "keep_alive": "x"}),
        ("/api/generate", {"prompt": LONG, "images": [URI.partition(",")[2]]}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_refused_request_leaves_no_image_open(vision: Running, path: str, body: dict[str, Any]) -> None:
    before = _memfds(vision)
    for _ in range(3):
        assert vision.client.post(path, json=body).status_code == 400
    assert _memfds(vision) == before


def test_damaged_requests_of_all_dialects_get_documented_answers(vision: Running) -> None:
    """The short form of `tests.dialect_fuzz`."""
    seen, logged = Seen(), len(vision.log)
    drive(vision, VISION, "short", time.monotonic() + 5, seen)
    assert seen.wrong == []
    assert sum(seen.statuses.values()) > 50
    assert "Traceback" not in vision.log[logged:]


def test_the_drill_finds_what_is_wrong() -> None:
    """A status that nobody documented, and an error in no dialect's form."""
    seen = Seen()
    good = b'{"error": {"message": "x", "code": "queue_full"}}'
    for status, data in ((200, b"{}"), (400, b'{"error": "x"}'), (503, good), (405, b"")):
        seen.note("/x", status, data, b"", 0.1)
    assert seen.wrong == []
    for status, data in ((500, good), (503, b'{"error": {"code": "other"}}'), (400, b"<html>"), (404, b"[]")):
        seen.note("/x", status, data, b"", 0.1)
    assert len(seen.wrong) == 4
