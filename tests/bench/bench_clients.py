"""Many clients at once, each on its own connection."""

from __future__ import annotations

import statistics
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

from tests.bench.bench_chat import COLD
from tests.bench.bench_models import ChatModel
from tests.bench.bench_service import Row, service
from tests.bench.chat_client import ChatClient, ask, request

CLIENTS = (1, 8, 32)
Answer = tuple[int, float]
"""Status and seconds of one request."""


def clients(model: ChatModel, image: bytes, *, tokens: int, requests: int) -> list[Row]:
    """Requests a second and latency with enough places in the queue; how many are refused with the usual."""
    body = request([ask(image)], max_tokens=tokens, **model.extra)
    # One address holds all connections here, and the one that waited for the service besides.
    roomy = {"max_connections_per_peer": 2 * max(CLIENTS), **COLD}
    rows = []
    with service(model.folder, "hailo_vision", queue_size=max(CLIENTS), **roomy) as running:
        at_once(running.port, body, 1, 3)
        for count in CLIENTS:
            answers, seconds = at_once(running.port, body, count, max(1, requests // count))
            label = f"{model.name}: clients at once: {count}; {len(answers)} requests, caches off"
            rows.append((label, _summary(answers, seconds)))
    with service(model.folder, "hailo_vision", **roomy) as running:
        answers, _ = at_once(running.port, body, max(CLIENTS), 1)
    counts = Counter(status for status, _ in answers)
    told = ", ".join(f"{count} with {status}" for status, count in sorted(counts.items()))
    rows.append((f"{model.name}: {max(CLIENTS)} requests at once and the usual queue", f"answered: {told}"))
    return rows


def at_once(port: int, body: bytes, count: int, each: int) -> tuple[list[Answer], float]:
    """Let `count` clients begin together and post `each` times; all answers, and the seconds for all."""
    together = threading.Barrier(count + 1)

    def work() -> list[Answer]:
        client, answers = ChatClient(port), []
        together.wait()
        for _ in range(each):
            began = time.perf_counter()
            status = client.post(body)
            answers.append((status, time.perf_counter() - began))
        return answers

    with ThreadPoolExecutor(count) as pool:
        working = [pool.submit(work) for _ in range(count)]
        together.wait()
        began = time.perf_counter()
        answers = [answer for done in working for answer in done.result()]
    return answers, time.perf_counter() - began


def _summary(answers: list[Answer], seconds: float) -> str:
    good = sum(status == HTTPStatus.OK for status, _ in answers)
    cuts = statistics.quantiles((taken * 1e3 for _, taken in answers), n=100, method="inclusive")
    rate = f"**{len(answers) / seconds:.1f}** a second, p50 {cuts[49]:.0f} ms, p99 {cuts[98]:.0f} ms"
    return f"{rate}, {good} of {len(answers)} with 200"
