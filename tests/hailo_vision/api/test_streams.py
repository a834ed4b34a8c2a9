"""Streams over time: pings, clients that go or do not read, the queue, its two priorities."""

from __future__ import annotations

import http.client
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.hailo_florence.api.running import FAKE_VISION, Running, started
from tests.hailo_vision.api.conftest import CHAT, body, events, image, order, post


def request_bytes(value: dict[str, Any]) -> bytes:
    """A request as it goes over the wire."""
    data = json.dumps(value).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data


def test_pings_while_nothing_comes(vision: Running) -> None:
    reply = post(vision, order(words=["a", "b"], prefill_s=0.7, step_s=0.5), stream=True)
    assert 3 <= reply.text.count(": ping\n\n") <= 10
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in events(reply.text)[:-1])
    assert text == "ab"


def test_the_role_comes_before_the_prefill_is_done(vision: Running) -> None:
    value = body(order(words=["a"], prefill_s=1.0), stream=True)
    with vision.client.stream("POST", CHAT, json=value) as reply:
        began = time.monotonic()
        assert '"role":"assistant"' in next(reply.iter_lines())
        assert time.monotonic() - began < 0.8


@pytest.mark.parametrize("stream", [True, False])
def test_the_engine_stops_within_a_token_of_a_client_that_goes(
    vision: Running, stream: bool, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    value = body(order(count=400, step_s=0.05, trace=str(trace)), stream=stream)
    with socket.create_connection(("127.0.0.1", vision.port), timeout=10) as sock:
        sock.sendall(request_bytes(value))
        while not trace.exists() or len(trace.read_text().splitlines()) < 5:
            time.sleep(0.01)
    gone = time.monotonic()
    began = time.monotonic()
    assert post(vision, order(count=1)).status_code == 200
    assert time.monotonic() - began < 3
    late = [line for line in trace.read_text().splitlines() if float(line.split()[0]) > gone]
    # One that was under way, and one more on a machine that is busy with something else.
    assert len(late) <= 4
    assert len(trace.read_text().splitlines()) < 100


def test_a_client_that_goes_while_it_waits_leaves_the_queue(vision: Running) -> None:
    value = body(image(), order(count=20, step_s=0.05))
    with ThreadPoolExecutor() as pool:
        running = pool.submit(lambda: vision.client.post(CHAT, json=value, timeout=60))
        time.sleep(0.2)
        with socket.create_connection(("127.0.0.1", vision.port)) as sock:
            sock.sendall(request_bytes(body(order(count=400, step_s=0.1))))
            time.sleep(0.2)
        began = time.monotonic()
        assert post(vision, order(count=1)).status_code == 200
        assert time.monotonic() - began < 5
        assert running.result().status_code == 200
    assert vision.health()["queue"]["waiting"] == 0


def test_a_reader_that_does_not_read_keeps_nobody_waiting(vision: Running) -> None:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", vision.port))
        sock.sendall(request_bytes(body(order(count=500, word="x" * 5000), stream=True)))
        time.sleep(0.5)
        before = vision.health()["memory_mb"]["http"]
        assert post(vision, order(count=1)).status_code == 200
        assert vision.health()["memory_mb"]["http"] < before + 20
        assert vision.health()["queue"]["running"] == 0


def test_thirty_two_clients_are_answered_in_order_and_none_is_lost(tmp_path: Path) -> None:
    settings = json.dumps({"queue_size": 40, "max_connections_per_peer": 64})
    with started(FAKE_VISION, "--settings", settings) as running:
        served = tmp_path / "served"

        def one(number: int) -> str:
            value = body(image(), order(words=[f"answer {number}"], trace=str(served)))
            connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
            connection.request("POST", CHAT, json.dumps(value), {"Content-Type": "application/json"})
            text = json.loads(connection.getresponse().read())["choices"][0]["message"]["content"]
            connection.close()
            return str(text)

        with ThreadPoolExecutor(33) as pool:
            first = pool.submit(running.client.post, CHAT, json=body(image(), order(count=120, step_s=0.1)))
            running.until(lambda: running.health()["queue"]["running"] == 1)
            answers = []
            for number in range(32):
                answers.append(pool.submit(one, number))
                running.until(lambda wanted=number + 1: running.health()["queue"]["waiting"] == wanted)
            assert [answer.result() for answer in answers] == [f"answer {n}" for n in range(32)]
            assert first.result().status_code == 200
        # The engine's own notes: clients may look at their answers in any order.
        order_served = [int(line.rpartition(" ")[2]) for line in served.read_text().splitlines()]
        assert order_served == list(range(32))


def test_a_full_queue_is_503_with_a_true_retry_after() -> None:
    with started(FAKE_VISION, "--settings", '{"queue_size": 2}') as running:
        post(running, order(count=12, step_s=0.25))
        value = body(image(), order(count=12, step_s=0.25))
        with ThreadPoolExecutor() as pool:
            taken = [pool.submit(running.client.post, CHAT, json=value) for _ in range(3)]
            running.until(lambda: running.health()["queue"]["waiting"] == 2)
            refused = running.client.post(CHAT, json=value)
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "queue_full")
            wait = int(refused.headers["retry-after"])
            assert 1 <= wait <= 120
            assert "x-should-retry" not in refused.headers
            time.sleep(wait)
            assert post(running, order(count=1)).status_code == 200
            assert [answer.result().status_code for answer in taken] == [200] * 3


@pytest.mark.parametrize("stream", [True, False])
def test_an_image_goes_before_a_background_request_that_loses_nothing(vision: Running, stream: bool) -> None:
    what: dict[str, Any] = {"random": 30, "step_s": 0.1}
    expected = post(vision, order(random=30), seed=11).json()["choices"][0]["message"]["content"]
    with ThreadPoolExecutor() as pool:
        long = pool.submit(post, vision, order(**what), seed=11, stream=stream)
        time.sleep(1.0)
        began = time.monotonic()
        assert post(vision, image()).status_code == 200
        assert time.monotonic() - began < 1.5
        assert not long.done()
        reply = long.result()
    if stream:
        chunks = events(reply.text)[:-1]
        text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    else:
        text = reply.json()["choices"][0]["message"]["content"]
    assert text == expected
    metrics = vision.client.get("/metrics").text
    assert "hailo_vision_num_preemptions_total 0.0" not in metrics
