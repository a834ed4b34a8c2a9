"""What a service counts: Prometheus text for scrapers, a JSON summary for people.

Names follow vLLM's with the service's prefix; times are in seconds, from the monotonic clock.
"""

from __future__ import annotations

import collections
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hailo_common import __version__
from hailo_common.engine.pool import EnginePool
from hailo_common.host import temperature_c, throttling
from hailo_common.web.state import ServerState, note_tokens

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Exactly this: Prometheus 3 refuses a scrape whose type it does not know."""

E2E_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 20, 30, 45, 60, 90, 120, 240)
_RECENT = 1000

Memory = Callable[[], dict[str, int]]
"""Resident bytes by process name."""


class _Readings(Collector):
    """What is read at scrape time rather than counted."""

    def __init__(
        self, prefix: str, pool: EnginePool, server_state: ServerState, memory: Memory, started: float
    ) -> None:
        self._prefix, self._pool, self._server_state, self._memory = prefix, pool, server_state, memory
        self._started = started

    def collect(self) -> Iterable[Metric]:
        pool, state = self._pool, self._pool.shown.engine.state
        states = [each.engine.state for each in pool.models]
        yield from (
            GaugeMetricFamily(f"{self._prefix}_{name}", text, value=value)
            for name, text, value in (
                ("num_requests_running", "Requests in the engine.", pool.running),
                ("num_requests_waiting", "Requests admitted and waiting.", pool.waiting),
                (
                    "engine_ready",
                    "1 while the model is loaded, or unloaded because it was not used.",
                    int(pool.admits),
                ),
                ("model_load_seconds", "Seconds of the last model load.", state.load_seconds),
                ("uptime_seconds", "Seconds since the service started.", time.monotonic() - self._started),
            )
        )
        yield from (
            CounterMetricFamily(f"{self._prefix}_{name}", text, value=value)
            for name, text, value in (
                ("engine_restarts", "Engine processes replaced.", sum(each.restarts for each in states)),
                (
                    "device_losses",
                    "Times the device was lost or could not be opened.",
                    sum(each.device_losses for each in states),
                ),
                (
                    "damaged_model_files",
                    "Files of a model that were not what arrived.",
                    sum(each.damages for each in states),
                ),
                ("num_preemptions", "Requests that had to give way and ran again.", pool.interrupted),
                ("requests_cancelled", "Requests whose client hung up.", self._server_state.clients_gone),
            )
        )
        yield from (self._requests(), self._refusals(), self._memory_family(), self._model_info())
        if pool.several:
            yield from self._models()
        yield from self._host()
        if "chip_temperature_c" in state.vitals:
            yield self._temperature(state.vitals["chip_temperature_c"])

    def _models(self) -> Iterable[Metric]:
        """Of each of several models: its state, its memory, how often it came and went."""
        state = GaugeMetricFamily(
            f"{self._prefix}_model_state", "1 for the state of each model.", labels=["model", "state"]
        )
        memory = GaugeMetricFamily(
            f"{self._prefix}_model_memory_bytes", "Set aside for a loaded model.", labels=["model"]
        )
        loads = CounterMetricFamily(f"{self._prefix}_model_loads", "Loads of a model.", labels=["model"])
        unloads = CounterMetricFamily(
            f"{self._prefix}_model_unloads", "Unloads of a model, idle or to make room.", labels=["model"]
        )
        for each in self._pool.models:
            state.add_metric([each.name, each.state], 1)
            held = each.place.held if each.place else None
            memory.add_metric([each.name], held or 0)
            loads.add_metric([each.name], each.loads)
            unloads.add_metric([each.name], each.unloads)
        yield from (state, memory, loads, unloads)
        if self._pool.places is not None:
            name = f"{self._prefix}_models_memory_budget_bytes"
            budget = self._pool.places.budget().memory
            yield GaugeMetricFamily(name, "What all models may take together; 0 is no limit.", value=budget)

    def _host(self) -> Iterable[Metric]:
        build = GaugeMetricFamily(f"{self._prefix}_build_info", "The version that runs.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
        degrees = temperature_c()
        if degrees is not None:
            name = f"{self._prefix}_host_temperature_celsius"
            yield GaugeMetricFamily(name, "Hottest sensor of the machine.", value=degrees)
        reasons = throttling()
        if reasons:
            name = f"{self._prefix}_host_throttled"
            family = GaugeMetricFamily(name, "1 for what slows the machine down now.", labels=["reason"])
            for reason, now in reasons.items():
                family.add_metric([reason], int(now))
            yield family

    def _requests(self) -> Metric:
        family = CounterMetricFamily(
            "http_requests", "Answered requests.", labels=["handler", "method", "status"]
        )
        for (handler, method, status), count in self._server_state.responses.items():
            family.add_metric([handler, method, str(status)], count)
        return family

    def _refusals(self) -> Metric:
        name = f"{self._prefix}_requests_refused"
        family = CounterMetricFamily(name, "Requests refused, by error code.", labels=["code"])
        for code, count in self._server_state.refusals.items():
            family.add_metric([code], count)
        return family

    def _memory_family(self) -> Metric:
        name = f"{self._prefix}_resident_memory_bytes"
        family = GaugeMetricFamily(name, "Resident memory by process.", labels=["process"])
        for process, size in self._memory().items():
            family.add_metric([process], size)
        return family

    def _temperature(self, celsius: Sequence[float]) -> Metric:
        name = f"{self._prefix}_chip_temperature_celsius"
        family = GaugeMetricFamily(name, "Temperature of the NPU, by sensor.", labels=["sensor"])
        for number, value in enumerate(celsius):
            family.add_metric([str(number)], value)
        return family

    def _model_info(self) -> Metric:
        family = GaugeMetricFamily(
            f"{self._prefix}_model_info",
            "The model, a fingerprint of its files, and where its stages run.",
            labels=["model", "fingerprint", "backend"],
        )
        for info in filter(None, (each.engine.state.info for each in self._pool.models)):
            for backend in sorted({stage.backend for stage in info.stages}):
                family.add_metric([info.model, info.fingerprint or "", backend], 1)
        return family


class Metrics:
    """One registry per application, so that two applications in one process never mix."""

    def __init__(self, prefix: str, pool: EnginePool, server_state: ServerState, memory: Memory) -> None:
        self.registry = CollectorRegistry()
        self.memory = memory
        self._started = time.monotonic()
        self._pool, self._server_state = pool, server_state
        self._recent_ms: collections.deque[float] = collections.deque(maxlen=_RECENT)
        self.registry.register(_Readings(prefix, pool, server_state, memory, self._started))
        self._e2e = self._histogram(f"{prefix}_e2e_request_latency_seconds", "From request head to answer.")
        self._inference = self._histogram(f"{prefix}_request_inference_time_seconds", "In the engine.")
        self._tokens = Counter(f"{prefix}_generation_tokens", "Tokens generated.", registry=self.registry)
        self._success = Counter(
            f"{prefix}_request_success", "Answers given.", ["finished_reason"], registry=self.registry
        )

    def _histogram(self, name: str, text: str, buckets: Sequence[float] = E2E_BUCKETS) -> Histogram:
        return Histogram(name, text, buckets=buckets, registry=self.registry)

    def uptime(self) -> float:
        """Seconds since start."""
        return time.monotonic() - self._started

    def note_answer(self, seconds: float) -> None:
        """Count one answer from its admission to its reply."""
        self._e2e.observe(seconds)

    def note_result(self, seconds: float, tokens: int, finish_reason: str) -> None:
        """Count one inference that gave an answer."""
        self._inference.observe(seconds)
        self._recent_ms.append(seconds * 1000)
        self._tokens.inc(tokens)
        note_tokens(tokens)
        self._success.labels(finish_reason).inc()

    def prometheus(self) -> bytes:
        """The Prometheus text exposition."""
        return generate_latest(self.registry)

    def summary(self) -> dict[str, Any]:
        """A summary of POSTs to any route; percentiles over the last 1000 answers, null before the first."""
        succeeded, failed = self._outcomes()
        recent = self._recent_ms
        # quantiles() wants two values; one doubled has itself as every percentile.
        cuts = statistics.quantiles([*recent, recent[-1]], n=100, method="inclusive") if recent else []
        return {
            "requests_total": succeeded + failed,
            "requests_succeeded": succeeded,
            "requests_failed": failed,
            "average_inference_time_ms": round(statistics.fmean(recent), 1) if recent else None,
            **{f"p{p}_inference_time_ms": round(cuts[p - 1], 1) if cuts else None for p in (50, 95, 99)},
            "queue_running": self._pool.running,
            "queue_waiting": self._pool.waiting,
            "memory_usage_mb": round(sum(self.memory().values()) / 1e6, 1),
            "uptime_seconds": round(self.uptime(), 1),
        }

    def _outcomes(self) -> tuple[int, int]:
        counts: collections.Counter[bool] = collections.Counter()
        for (handler, method, status), count in self._server_state.responses.items():
            # GET is for probes and lists; "-" stands for every address that no route has.
            if method == "POST" and handler != "-":
                counts[status < 400] += count
        return counts[True], counts[False]
