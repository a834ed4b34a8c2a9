"""What the HTTP side of a conversation costs by itself, beside a bare application."""

from __future__ import annotations

import contextlib
import http.client
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from tests.bench.bench_service import Row, in_turns
from tests.hailo_florence.api.running import FAKE_VISION, started

CHUNKS = 30_000
WORD = "word "
_READ = 1 << 18


@contextlib.contextmanager
def bare() -> Iterator[int]:
    """The bare application's port."""
    command = [sys.executable, "-m", "tests.bench.bare_stream", str(CHUNKS), WORD]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            yield int(process.stdout.readline())
        finally:
            process.kill()


def chat(order: dict[str, object], **more: object) -> bytes:
    """The body of a request that gives the fake engine an order."""
    messages = [{"role": "user", "content": json.dumps(order)}]
    return json.dumps({"model": "fake-vl", "messages": messages, **more}).encode()


def read_stream(port: int, body: bytes) -> int:
    """Post and read an answer to its end; returns its bytes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
    reply = connection.getresponse()
    size = 0
    while data := reply.read1(_READ):
        size += len(data)
    connection.close()
    return size


def streaming(rounds: int = 5) -> list[Row]:
    """Chunks a second of the service, engine process and pipe included, over the bare application's."""
    settings = json.dumps({"max_new_tokens": 32768, "log_level": "warning"})
    body = chat({"count": CHUNKS, "word": WORD}, stream=True)
    with started(FAKE_VISION, "--settings", settings) as running, bare() as port:
        assert read_stream(running.port, body) >= read_stream(port, body)
        ours, least = in_turns(
            rounds, lambda: read_stream(running.port, body), lambda: read_stream(port, body)
        )
        single = _single(running.port)
    rates = [CHUNKS / statistics.median(times) for times in (ours, least)]
    return [
        (
            "streamed chunks a second: the service / a bare ASGI application with the same bytes",
            f"{rates[0]:,.0f} / {rates[1]:,.0f} = **{rates[0] / rates[1]:.2f}**",
        ),
        ("one short answer without a picture, end to end, p50 (engine that answers at once)", single),
    ]


def _single(port: int, requests: int = 300) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    body, times = chat({"count": 1}), []
    for _ in range(requests):
        began = time.perf_counter()
        connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
        connection.getresponse().read()
        times.append(time.perf_counter() - began)
    return f"**{statistics.median(times) * 1e3:.2f} ms**"


if __name__ == "__main__":
    for name, value in streaming():
        print(f"{name}: {value}")
