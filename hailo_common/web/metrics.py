"""What a service counts: Prometheus text for scrapers, a JSON summary for people and the Florence document.

Names follow vLLM's with the service's prefix; times are in seconds, from the monotonic clock.
"""

from __future__ import annotations

import collections
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hailo_common.daemon.memory import tree_memory_bytes
from hailo_common.lane import Lane

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Exactly this: Prometheus 3 refuses a scrape whose type it does not know."""

E2E_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 20, 30, 45, 60, 90, 120, 240)
_RECENT = 1000


class _Readings(Collector):
    """What is read at scrape time rather than counted."""

    def __init__(self, prefix: str, lane: Lane, uptime: Callable[[], float]) -> None:
        self._prefix, self._lane, self._uptime = prefix, lane, uptime

    def collect(self) -> Iterable[Metric]:
        lane, state = self._lane, self._lane.engine.state
        for name, text, value in (
            ("num_requests_running", "Requests in the engine.", lane.running),
            ("num_requests_waiting", "Requests admitted and waiting.", lane.waiting),
            ("engine_ready", "1 while the model is loaded.", int(state.ready)),
            ("model_load_seconds", "Seconds of the last model load.", state.load_seconds),
            ("uptime_seconds", "Seconds since the service started.", self._uptime()),
        ):
            yield GaugeMetricFamily(f"{self._prefix}_{name}", text, value=value)
        for name, text, value in (
            ("queue_refused", "Requests refused because the queue was full.", lane.refused),
            ("engine_restarts", "Engine processes replaced.", state.restarts),
        ):
            yield CounterMetricFamily(f"{self._prefix}_{name}", text, value=value)
        yield self._memory()

    def _memory(self) -> Metric:
        name = f"{self._prefix}_resident_memory_bytes"
        family = GaugeMetricFamily(name, "Resident memory by process.", labels=["process"])
        for process, size in tree_memory_bytes().items():
            family.add_metric([process], size)
        return family


class Metrics:
    """One registry per application, so that two applications in one process never mix."""

    def __init__(self, prefix: str, lane: Lane) -> None:
        self.registry = CollectorRegistry()
        self.started = time.monotonic()
        self._lane = lane
        self._recent_ms: collections.deque[float] = collections.deque(maxlen=_RECENT)
        self._succeeded = self._failed = 0
        registry = self.registry
        self._http = Counter(
            "http_requests", "Answered requests.", ["handler", "method", "status"], registry=registry
        )
        self._e2e = Histogram(
            f"{prefix}_e2e_request_latency_seconds", "From request head to last byte.", buckets=E2E_BUCKETS,
            registry=registry,
        )
        self._inference = Histogram(
            f"{prefix}_request_inference_time_seconds", "In the engine.", buckets=E2E_BUCKETS, registry=registry
        )
        self._tokens = Counter(f"{prefix}_generation_tokens", "Tokens generated.", registry=registry)
        self._success = Counter(
            f"{prefix}_request_success", "Answers given.", ["finished_reason"], registry=registry
        )
        registry.register(_Readings(prefix, lane, self.uptime))

    def uptime(self) -> float:
        """Seconds since start."""
        return time.monotonic() - self.started

    def note_response(self, handler: str, method: str, status: int, seconds: float) -> None:
        """Count one HTTP answer; `handler` is a route template, never a client's path."""
        self._http.labels(handler, method, str(status)).inc()
        if handler.startswith("/v1/") and method == "POST":
            self._e2e.observe(seconds)
            if status < 400:
                self._succeeded += 1
            else:
                self._failed += 1

    def note_result(self, seconds: float, tokens: int, finish_reason: str) -> None:
        """Count one inference that gave an answer."""
        self._inference.observe(seconds)
        self._recent_ms.append(seconds * 1000)
        self._tokens.inc(tokens)
        self._success.labels(finish_reason).inc()

    def prometheus(self) -> bytes:
        """The Prometheus text exposition."""
        return generate_latest(self.registry)

    def summary(self) -> dict[str, Any]:
        """The document's JSON; percentiles are over the last 1000 answers, null before the first."""
        count = len(self._recent_ms)
        cuts = statistics.quantiles(self._recent_ms, n=100, method="inclusive") if count > 1 else []
        only = round(self._recent_ms[0], 1) if count == 1 else None
        at = {p: round(cuts[p - 1], 1) if cuts else only for p in (50, 95, 99)}
        return {
            "requests_total": self._succeeded + self._failed,
            "requests_succeeded": self._succeeded,
            "requests_failed": self._failed,
            "average_inference_time_ms": round(statistics.fmean(self._recent_ms), 1) if count else None,
            "p50_inference_time_ms": at[50],
            "p95_inference_time_ms": at[95],
            "p99_inference_time_ms": at[99],
            "queue_running": self._lane.running,
            "queue_waiting": self._lane.waiting,
            "memory_usage_mb": round(sum(tree_memory_bytes().values()) / 1e6, 1),
            "uptime_seconds": round(self.uptime(), 1),
        }
