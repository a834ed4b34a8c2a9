"""What the page costs its service: `python -m tests.bench.page_cost`."""

from __future__ import annotations

import os
from pathlib import Path

from hailo_common.web.page.assets import FOLDER
from tests.hailo_florence.api.running import Running, started

POLLS = 500
EVERY_S = 3.0
"""How often a page asks that nothing happens to."""


def main() -> None:
    """Print the milliseconds of a poll, its share of a core, and the memory before and after."""
    for module in ("hailo_vision", "hailo_florence"):
        with started((module, "--demo")) as running:
            _measure(module, running)


def _measure(module: str, running: Running) -> None:
    before = _memory(running)
    for path in FOLDER.iterdir():
        running.client.get(f"/page/{path.name}")
    began = _cpu_s(running.popen.pid)
    for _ in range(POLLS):
        running.client.get("/v1/status").raise_for_status()
    each = (_cpu_s(running.popen.pid) - began) / POLLS
    began = _cpu_s(running.popen.pid)
    running.client.get("/v1/status/models").raise_for_status()
    models = _cpu_s(running.popen.pid) - began
    print(f"{module}: a poll {each * 1000:.1f} ms, {each / EVERY_S:.3%} of a core")
    print(f"{module}: the models {models * 1000:.0f} ms")
    print(f"{module}: memory of the HTTP process {before:.1f} MB, then {_memory(running):.1f} MB")


def _memory(running: Running) -> float:
    return float(running.health()["memory_mb"]["http"])


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
