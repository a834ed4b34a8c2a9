"""hailo-vision over the fake engine, in real processes behind a real socket."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx
import pytest

from tests.hailo_florence.api.conftest import data_uri, red_circle
from tests.hailo_florence.api.running import FAKE_VISION, Running, started

MODEL = "qwen2-vl-2b-instruct"
URI = data_uri(red_circle())
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="session")
def vision() -> Iterator[Running]:
    """The service with short pings and a queue for everybody."""
    settings = {"ping_interval_s": 0.2, "queue_size": 64, "max_connections_per_peer": 200}
    with started(FAKE_VISION, "--settings", json.dumps(settings)) as running:
        yield running


def order(**what: Any) -> dict[str, Any]:
    """A message that tells the fake engine what to do."""
    return {"role": "user", "content": json.dumps(what)}


def image(text: str = "What is it?") -> dict[str, Any]:
    """A message with a picture."""
    parts = [{"type": "image_url", "image_url": {"url": URI}}, {"type": "text", "text": text}]
    return {"role": "user", "content": parts}


def body(*messages: Any, **more: Any) -> dict[str, Any]:
    """A chat request."""
    return {"model": MODEL, "messages": list(messages) or [{"role": "user", "content": "Hi"}], **more}


def post(running: Running, *messages: Any, **more: Any) -> httpx.Response:
    """The answer to a chat request."""
    return running.client.post(CHAT, json=body(*messages, **more))


def events(text: str) -> list[Any]:
    """The data of all events of a stream, `[DONE]` as a string; comments are left out."""
    data = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [item if item == "[DONE]" else json.loads(item) for item in data]


def asked(reply: httpx.Response) -> dict[str, Any]:
    """What the engine was asked, from an answer to `order(echo=True)`."""
    assert reply.status_code == 200, reply.text
    return dict(json.loads(reply.json()["choices"][0]["message"]["content"]))


def answers_to_anything(
    running: Running, path: str, fields: Mapping[str, Sequence[Any]], seed: str | int
) -> list[httpx.Response]:
    """Send some of these fields 150 times: every answer has a status that is documented, and nothing fails.

    The short form of the fuzz test of every route: no 5xx but 502 for JSON that a model did not give.
    """
    dice, logged, replies = random.Random(seed), len(running.log), []
    for _ in range(150):
        names = dice.sample(sorted(fields), dice.randrange(len(fields)))
        value = {name: dice.choice(fields[name]) for name in names}
        replies.append(running.client.post(path, json=value))
        assert replies[-1].status_code in (200, 400, 404, 502), (value, replies[-1].text)
    assert "Traceback" not in running.log[logged:]
    assert running.health()["queue"]["waiting"] == 0
    return replies
