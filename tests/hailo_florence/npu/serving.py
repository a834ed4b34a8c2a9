"""hailo-florence on a simulated chip."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.hailo_florence.api.running import Running, started
from tests.npu import Machine


@contextlib.contextmanager
def on_chip(
    machine: Machine, model: Path, *, ready: bool = True, backend: str = "npu", **settings: object
) -> Iterator[Running]:
    """The service on `model` with further keys; like `started`."""
    config = machine.state / f"service-{len(list(machine.state.iterdir()))}.yaml"
    values = {"model_dir": model, "backend": backend, "threads": 1, "device_timeout_s": 5, **settings}
    config.write_text("".join(f"{key}: {value}\n" for key, value in values.items()), encoding="utf-8")
    arguments = ("hailo_florence", "--config", str(config))
    with started(arguments, ready=False, **machine.environ) as running:
        if ready:
            running.until_ready(120)
        yield running
