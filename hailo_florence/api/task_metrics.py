"""What hailo-florence counts by task, beside what every service counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

from hailo_common.web.metrics import E2E_BUCKETS
from hailo_florence.protocol import TASKS


class TaskMetrics:
    """Answers and seconds in the engine by task; every task is there from the start, with zero."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "hailo_florence_task_inference_time_seconds",
            "In the engine, by task.",
            ["task"],
            buckets=E2E_BUCKETS,
            registry=registry,
        )
        for task in TASKS:
            self._seconds.labels(task)

        self._cached = Counter(
            "hailo_florence_cached_pictures", "Images that were not encoded again.", registry=registry
        )

    def note(self, task: str, seconds: float, *, cached: bool) -> None:
        """Count an answer."""
        self._seconds.labels(task).observe(seconds)
        self._cached.inc(cached)
