"""What hailo-florence counts by task, beside what every service counts."""

from __future__ import annotations

from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Histogram

from hailo_common.web.metrics import E2E_BUCKETS
from hailo_florence.protocol import TASKS

Scene = Literal["first", "changed", "unchanged"]
SCENES = get_args(Scene)


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

        self._scenes = Counter(
            "hailo_florence_scenes",
            "Pictures of cameras: the first ones, those that had changed, and those that had not.",
            ["result"],
            registry=registry,
        )
        for result in SCENES:
            self._scenes.labels(result)

    def note_scene(self, result: Scene) -> None:
        """Count a picture of a camera."""
        self._scenes.labels(result).inc()

    def note(self, task: str, seconds: float, *, cached: bool) -> None:
        """Count an answer."""
        self._seconds.labels(task).observe(seconds)
        self._cached.inc(cached)
