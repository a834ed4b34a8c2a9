"""A client that watches when an answer's tokens come."""

from __future__ import annotations

import http.client
import json
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tests.bench.bench_service import IDLE_S
from tests.hailo_florence.api.conftest import data_uri

MODEL = "qwen2-vl-2b-instruct"
PATH = "/v1/chat/completions"
DESCRIBE = "Describe the image."
_TYPE = {"Content-Type": "application/json"}
_EVENT = b"data: "


@dataclass(frozen=True)
class Told:
    """One streamed answer: seconds to its first text and to its last chunk but that of the usage."""

    first: float
    whole: float
    text: str
    tokens: int
    cached_tokens: int
    image_tokens: int

    @property
    def each(self) -> float:
        """Seconds of each token after the first."""
        return (self.whole - self.first) / max(1, self.tokens - 1)


def ask(image: bytes, text: str = DESCRIBE) -> dict[str, Any]:
    """A user's message with one JPEG picture."""
    part = {"type": "image_url", "image_url": {"url": data_uri(image)}}
    return {"role": "user", "content": [part, {"type": "text", "text": text}]}


def request(messages: list[dict[str, Any]], **more: object) -> bytes:
    """The body of a greedy request."""
    return json.dumps({"model": MODEL, "temperature": 0, "messages": messages, **more}).encode()


def streamed(messages: list[dict[str, Any]], **more: object) -> bytes:
    """The body of a greedy request for a stream with its usage."""
    return request(messages, stream=True, stream_options={"include_usage": True}, **more)


class ChatClient:
    """A keep-alive connection, opened anew after a pause: services close those that do nothing for long."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        self._used = 0.0

    def _send(self, body: bytes) -> http.client.HTTPResponse:
        """Post, and return the answer with its body unread."""
        self._connection.request("POST", PATH, body, _TYPE)
        return self._connection.getresponse()

    def _wake(self) -> None:
        """Connect where that is due, before the clock runs."""
        if time.monotonic() - self._used > IDLE_S:
            self._connection.close()
            self._connection.connect()

    def post(self, body: bytes) -> int:
        """Read a whole answer; returns its status."""
        self._wake()
        reply = self._send(body)
        reply.read()
        self._used = time.monotonic()
        return reply.status

    def stream(self, body: bytes) -> Told:
        """Read a stream made by `streamed` and note when its parts come."""
        self._wake()
        began = time.perf_counter()
        reply = self._send(body)
        lines = []
        while line := reply.readline():
            lines.append((time.perf_counter() - began, line))
        self._used = time.monotonic()
        assert reply.status == 200, lines
        events = [(at, line.removeprefix(_EVENT).strip()) for at, line in lines if line.startswith(_EVENT)]
        return _told([(at, json.loads(data)) for at, data in events if data != b"[DONE]"])


def _told(chunks: list[tuple[float, dict[str, Any]]]) -> Told:
    texts, ended, usage = [], 0.0, None
    for at, chunk in chunks:
        assert "error" not in chunk, chunk
        for choice in chunk["choices"]:
            if content := choice["delta"].get("content"):
                texts.append((at, content))
            if choice["finish_reason"]:
                ended = at
        usage = chunk["usage"] or usage
    assert usage is not None
    details = usage["prompt_tokens_details"]
    return Told(
        first=texts[0][0] if texts else ended,
        whole=ended,
        text="".join(text for _, text in texts),
        tokens=usage["completion_tokens"],
        cached_tokens=details["cached_tokens"],
        image_tokens=details["image_tokens"],
    )


def p50_ms(seconds: Iterable[float]) -> float:
    """The median in milliseconds."""
    return statistics.median(seconds) * 1e3
