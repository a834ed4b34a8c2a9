"""How much code an answer passes through: `python -m tests.bench.trace_chat`.

Counts, with `sys.setprofile` in every process of hailo-vision, the product files and functions that take part
in one streamed answer about an image, and the calls and resumed frames that one more token costs in the HTTP
process.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.bench.bench_models import ROOT
from tests.bench.chat_client import ask
from tests.hailo_florence.api.running import FAKE_VISION, Running, started

_PRODUCT = ("hailo_common/", "hailo_florence/", "hailo_vision/")
_COUNTER = """
import json, os, signal, sys
from collections import Counter
seen = Counter()
def count(frame, event, argument):
    if event == "call":
        seen[frame.f_code.co_filename + ":" + frame.f_code.co_qualname] += 1
def toggle(number, frame):
    if sys.getprofile() is None:
        seen.clear()
        sys.setprofile(count)
    else:
        sys.setprofile(None)
        with open(os.path.join(os.path.dirname(__file__), f"{os.getpid()}.json"), "w") as file:
            json.dump(seen, file)
signal.signal(signal.SIGUSR2, toggle)
"""
Calls = dict[int, Counter[str]]
"""Calls by function ("file:name"), by process."""


@contextmanager
def counting(service: tuple[str, ...]) -> Iterator[tuple[Running, Path]]:
    """A service whose processes count their calls between two signals, and the folder of their counts."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "sitecustomize.py").write_text(_COUNTER)
        with started(service, PYTHONPATH=f"{folder}:{ROOT}") as running:
            yield running, folder


def calls_of(running: Running, folder: Path, body: dict[str, object]) -> Calls:
    """The product's calls in one streamed answer, less those of as long a time without one."""
    _answer(running, body)
    began = time.monotonic()
    busy = _calls_during(running, folder, lambda: _answer(running, body))
    idle = _calls_during(running, folder, lambda: time.sleep(time.monotonic() - began))
    return {pid: busy[pid] - idle[pid] for pid in busy}


def _calls_during(running: Running, folder: Path, act: Callable[[], None]) -> Calls:
    pids = [running.popen.pid, *_children(running.popen.pid)]
    _signal(pids)
    act()
    _signal(pids)
    time.sleep(0.5)
    return {pid: _product(json.loads((folder / f"{pid}.json").read_text())) for pid in pids}


def _answer(running: Running, body: dict[str, object]) -> None:
    url = f"http://127.0.0.1:{running.port}/v1/chat/completions"
    request = {"model": "qwen2-vl-2b-instruct", "stream": True, **body}
    with httpx.stream("POST", url, json=request, timeout=60) as response:
        assert response.status_code == 200, response.read()
        for _ in response.iter_bytes():
            pass


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _signal(pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGUSR2)
    time.sleep(0.3)


def _product(calls: dict[str, int]) -> Counter[str]:
    inside = ((name.removeprefix(f"{ROOT}/"), count) for name, count in calls.items())
    return Counter({name: count for name, count in inside if name.startswith(_PRODUCT)})


def breadth() -> tuple[int, int]:
    """Files and named functions of one streamed answer about an image, of the demo model on the CPU."""
    image = (ROOT / "docs" / "sample.jpg").read_bytes()
    with counting(("hailo_vision", "--demo", "shapes")) as (running, folder):
        calls = calls_of(running, folder, {"messages": [ask(image)]})
    names = {name for name in set().union(*calls.values()) if "<" not in name}
    return len({name.rpartition(":")[0] for name in names}), len(names)


def depth() -> tuple[float, Counter[str]]:
    """Calls and resumed frames of the HTTP process for each token more, and which they are."""
    with counting(FAKE_VISION) as (running, folder):
        few, many = (
            calls_of(running, folder, {"messages": [{"role": "user", "content": _order(count)}]})[
                running.popen.pid
            ]
            for count in (20, 120)
        )
    more = Counter({name: (many[name] - few[name]) / 100 for name in many if many[name] - few[name] > 10})
    return sum(more.values()), more


def _order(count: int) -> str:
    return json.dumps({"count": count, "word": "word ", "step_s": 0.005})


def main() -> None:
    """Print the figures."""
    files, functions = breadth()
    print(f"a streamed answer about an image: {files} files, {functions} functions")
    calls, each = depth()
    print(f"one token in the HTTP process: {calls:.1f} calls or resumed frames")
    for name, count in each.most_common():
        print(f"  {count:5.2f} {name}")


if __name__ == "__main__":
    main()
