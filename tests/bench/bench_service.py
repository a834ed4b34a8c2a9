"""The running service against the bare sessions, on the same picture and the same tokens, in turns."""

from __future__ import annotations

import http.client
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from hailo_common.inference.model_dir import ModelDir
from hailo_florence.engine import make_engine
from hailo_florence.model.generation import read_generation_config
from hailo_florence.model.prompt import Prompts
from hailo_florence.protocol import FlorenceRequest, FlorenceResult
from tests.bench.bare import Bare
from tests.hailo_florence.api.conftest import data_uri
from tests.hailo_florence.api.running import Running, started

THREADS = 1
_START_S = 300.0
IDLE_S = 2.0
UNCACHED = {"picture_cache_mb": 0}
"""The same picture comes again and again in a bench; each time it is encoded."""
Row = tuple[str, str]
T = TypeVar("T")


@contextmanager
def service(model: Path, module: str = "hailo_florence", **settings: int) -> Iterator[Running]:
    """A service on a model folder with one inference thread; `settings` are further keys."""
    config = Path(tempfile.mkstemp(suffix=".yaml")[1])
    own = UNCACHED if module == "hailo_florence" else {}
    values = {"threads": THREADS, "log_level": "warning", "model_dir": model.absolute(), **own, **settings}
    config.write_text("".join(f"{key}: {value}\n" for key, value in values.items()))
    with started((module,), "--config", str(config), ready=False) as running:
        running.until_ready(_START_S)
        yield running


class Client:
    """A keep-alive connection that posts one fixed body; a new one where the service may have closed it."""

    def __init__(self, port: int, image: bytes, max_length: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._body = json.dumps({"image": data_uri(image), "max_length": max_length}).encode()
        self._used = time.monotonic()

    def post(self) -> int:
        """Ask for a caption; returns its engine milliseconds."""
        if time.monotonic() - self._used > IDLE_S:
            self._connection.close()
        self._connection.request("POST", "/v1/caption", self._body, {"Content-Type": "application/json"})
        reply = self._connection.getresponse()
        content = json.loads(reply.read())
        self._used = time.monotonic()
        assert reply.status == 200, content
        return int(content["inference_time_ms"])

    def health(self) -> None:
        """Ask for the health."""
        self._connection.request("GET", "/health")
        self._connection.getresponse().read()


def take_turns(rounds: int, *functions: Callable[[], T]) -> list[list[T]]:
    """What each function returns in each round, in turns so that a busy machine slows all alike."""
    made: list[list[T]] = [[] for _ in functions]
    for _ in range(rounds):
        for index, function in enumerate(functions):
            made[index].append(function())
    return made


def in_turns(rounds: int, *functions: Callable[[], object]) -> list[list[float]]:
    """Seconds of each function in each round; see `take_turns`."""
    return take_turns(rounds, *(partial(_seconds, function) for function in functions))


def _seconds(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def bare_and_tokens(model: Path, image: bytes, max_length: int) -> tuple[Bare, list[int]]:
    """Bare sessions, and the tokens (start token first) that the service will answer with."""
    with make_engine({"model_dir": str(model), "threads": THREADS, **UNCACHED}) as engine:
        target = engine.load().resize
        folder = ModelDir(model)
        prompt = Prompts(folder, read_generation_config(folder)).encode("caption")
        bare = Bare(model, target, prompt, THREADS)
        request = FlorenceRequest(task="caption", max_length=max_length)
        *events, last = engine.run(request, [bare.decode(image)])
    start = json.loads((model / "config.json").read_text())["text_config"].get("decoder_start_token_id", 2)
    tokens = [start, *(token for token in events if isinstance(token, int))]
    assert isinstance(last, FlorenceResult)
    return bare, tokens[:-1] if last.finish_reason == "stop" else tokens


def latency(name: str, model: Path, image: bytes, *, max_length: int, rounds: int) -> list[Row]:
    """End-to-end latency over (bare sessions + bare picture decode), p50 of each."""
    bare, tokens = bare_and_tokens(model, image, max_length)
    with service(model) as running:
        client = Client(running.port, image, max_length)
        client.post()
        bare.run(bare.decode(image), tokens)
        ours, least = in_turns(rounds, client.post, lambda: bare.run(bare.decode(image), tokens))
        memory = running.health()["memory_mb"]
    p50 = statistics.median(ours), statistics.median(least)
    return [
        (
            f"{name}: service end to end / bare sessions + picture decode, p50, {len(tokens)} decoder steps",
            f"{p50[0] * 1e3:.1f} ms / {p50[1] * 1e3:.1f} ms = **{p50[0] / p50[1]:.2f}**",
        ),
        (
            f"{name}: memory of the HTTP, engine and decoder process",
            " · ".join(f"{memory[k]} MB" for k in memory),
        ),
    ]


def start_up(model: Path) -> list[Row]:
    """Seconds from exec to the port answering and to readiness, each the median of five starts."""
    opened, ready = [], []
    for _ in range(5):
        began = time.perf_counter()
        with started(("hailo_florence", "--demo", "shapes"), "--model", str(model), ready=False) as running:
            running.until(lambda running=running: running.client.get("/health"))
            opened.append(time.perf_counter() - began)
            running.until_ready()
            ready.append(time.perf_counter() - began)
    return [
        ("start to port open", f"{statistics.median(opened):.2f} s"),
        ("start to ready (demo model)", f"{statistics.median(ready):.2f} s"),
    ]


def health_under_load(model: Path, image: bytes, seconds: float = 8.0) -> list[Row]:
    """Latency of /health while inferences run back to back."""
    with service(model) as running:
        stop = threading.Event()
        load = threading.Thread(target=_post_until, args=(running.port, image, stop))
        load.start()
        client, times = Client(running.port, image, 1), []
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            began = time.perf_counter()
            client.health()
            times.append(time.perf_counter() - began)
            time.sleep(0.01)
        stop.set()
        load.join()
    cuts = statistics.quantiles(times, n=100)
    text = f"p50 {cuts[49] * 1e3:.1f} ms, p99 **{cuts[98] * 1e3:.1f} ms** ({len(times)} requests)"
    return [("/health while inferences run back to back", text)]


def _post_until(port: int, image: bytes, stop: threading.Event) -> None:
    client = Client(port, image, 20)
    while not stop.is_set():
        client.post()
