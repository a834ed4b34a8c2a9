"""hailo-vision beside llama.cpp's own server: the same file, library, threads and room, in turns.

CPU seconds of each process tree, so that a busy machine changes little. `python -m tests.bench.bench_peers`;
QUICK=1 makes one round. The last line names the worst row.
"""

from __future__ import annotations

import base64
import http.client
import io
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.bench.bench_models import CACHE
from tests.bench.bench_service import Row, service
from tests.bench.processes import cpu_seconds, peak_mb
from tests.bench.random_gguf import write
from tests.hailo_florence.api.running import free_port

CONTEXT, SLOTS = 2048, 4
SIZE = "qwen2-vl-2b"
NO_END = {"772": -100, "770": -100}
_READY_S = 120.0
_WORDS = ("red", "blue", "circle", "square", "house", "tree", "seven", "left")


@dataclass
class Peer:
    """One server under measurement."""

    name: str
    pid: int
    port: int
    model: str
    ready: float
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def note(self, row: str, value: float) -> None:
        """One measured value of a row."""
        self.seconds.setdefault(row, []).append(value)


@dataclass(frozen=True)
class Stream:
    """One streamed answer: CPU seconds when it began, at its first text and at its end, and its usage."""

    began: float
    first: float
    ended: float
    usage: dict[str, Any]
    text: str

    @property
    def each(self) -> float:
        """Seconds of a token after the first."""
        return (self.ended - self.first) / (int(self.usage["completion_tokens"]) - 1)


def stream(peer: Peer, messages: list[dict[str, Any]], tokens: int) -> Stream:
    """Ask, and note the tree's CPU time as texts come."""
    body = {
        "model": peer.model,
        "messages": messages,
        "max_tokens": tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
        "logit_bias": NO_END,
    }
    connection = http.client.HTTPConnection("127.0.0.1", peer.port, timeout=600)
    began = cpu_seconds(peer.pid)
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    reply = connection.getresponse()
    assert reply.status == 200, reply.read()
    usage: dict[str, Any] = {}
    first, text = 0.0, ""
    for line in reply:
        if not line.startswith(b"data: {"):
            continue
        chunk = json.loads(line[6:])
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            if piece := choice["delta"].get("content"):
                first = first or cpu_seconds(peer.pid)
                text += piece
    connection.close()
    return Stream(began, first, cpu_seconds(peer.pid), usage, text)


def words(count: int, seed: int) -> str:
    """A text that nobody has asked before."""
    rng = random.Random(seed)
    return " ".join(rng.choice(_WORDS) for _ in range(count))


def picture(seed: int, side: int = 448) -> dict[str, Any]:
    """A picture that nobody has sent before."""
    pixels = np.random.default_rng(seed).integers(0, 256, (side // 8, side // 8, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC).save(file, "JPEG")
    url = "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
    return {"type": "image_url", "image_url": {"url": url}}


def say(*parts: dict[str, Any] | str) -> dict[str, Any]:
    """A message of the user."""
    listed = [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts]
    return {"role": "user", "content": listed}


def texts(peer: Peer, seed: int) -> None:
    """Prompt tokens, further tokens behind a short and a long past, and a follow-up question."""
    short = stream(peer, [say(words(60, seed))], 24)
    peer.note("further token, past of 128", short.each)
    asked = [say(words(600, seed + 1))]
    long = stream(peer, asked, 24)
    read = long.usage["prompt_tokens"]
    peer.note("prompt token", (long.first - long.began) / read)
    peer.note("further token, past of 1,024", long.each)
    asked = [say(words(300, seed + 2))]
    stream(peer, asked, 1)
    # Random models answer with what no tokenizer makes again, so the answer is a made one.
    asked += [{"role": "assistant", "content": "yes"}, say("And why is that so?")]
    follow = stream(peer, asked, 2)
    peer.note("follow-up to first token", follow.first - follow.began)


def pictures(peer: Peer, seed: int) -> None:
    """A question about a picture of 448 x 448 pixels."""
    told = stream(peer, [say(picture(seed), "What is this?")], 2)
    peer.note("picture question to first token, 448 x 448", told.first - told.began)


def four_clients(peer: Peer, seed: int) -> None:
    """CPU time of a token when four clients write at once."""
    began = cpu_seconds(peer.pid)
    tokens = 24
    threads = [
        threading.Thread(target=stream, args=(peer, [say(words(8, seed + number))], tokens))
        for number in range(SLOTS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    peer.note("four clients, one token", (cpu_seconds(peer.pid) - began) / (SLOTS * tokens))


@contextmanager
def ours(folder: Path) -> Iterator[Peer]:
    """The service, HTTP and decoder processes included."""
    room = {"max_model_len": CONTEXT, "max_num_seqs": SLOTS, "memory_max_mb": 8192, "max_new_tokens": 1024}
    with service(folder, "hailo_vision", **room) as running:
        pid = running.popen.pid
        yield Peer("hailo-vision", pid, running.port, SIZE, cpu_seconds(pid))


@contextmanager
def theirs(folder: Path) -> Iterator[Peer]:
    """llama.cpp's own server."""
    port = free_port()
    command = [sys.executable, "-m", "tests.bench.peer_server", str(folder), str(port)]
    popen = subprocess.Popen([*command, str(CONTEXT), str(SLOTS)], stderr=subprocess.DEVNULL)
    try:
        _until_healthy(port)
        yield Peer("llama.cpp", popen.pid, port, SIZE, cpu_seconds(popen.pid))
    finally:
        popen.terminate()
        popen.wait(30)


def _until_healthy(port: int) -> None:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError("llama.cpp's server did not get ready")


def peers(rounds: int) -> list[tuple[str, float, float]]:
    """Each row with its medians, ours first."""
    folder = CACHE / f"gguf-{SIZE}"
    write(SIZE, folder)
    work: tuple[Callable[[Peer, int], None], ...] = (texts, pictures, four_clients)
    with ExitStack() as stack:
        both = [stack.enter_context(start(folder)) for start in (ours, theirs)]
        for number in range(rounds):
            for part in work:
                for peer in both:
                    part(peer, 1000 * (number + 1) + (peer is both[1]) * 500)
        medians = [{row: statistics.median(values) for row, values in peer.seconds.items()} for peer in both]
        made = [(row, mine, medians[1][row]) for row, mine in medians[0].items()]
        made.append(("ready after start", both[0].ready, both[1].ready))
        made.append(("peak memory, MiB", peak_mb(both[0].pid), peak_mb(both[1].pid)))
    return made


def rows(measured: list[tuple[str, float, float]]) -> list[Row]:
    """As the tables of the benchmark have them."""
    shown = []
    for name, mine, other in measured:
        unit = "" if "MiB" in name else " CPU s"
        shown.append(
            (f"{name}, hailo-vision / llama.cpp", f"{mine:.3g} / {other:.3g}{unit} = **{mine / other:.2f}**")
        )
    return shown


def main() -> None:
    """Print the table, and the worst row last."""
    measured = peers(1 if os.environ.get("QUICK") else 3)
    for name, value in rows(measured):
        print(f"| {name} | {value} |")
    name, mine, other = max(measured, key=lambda row: row[1] / row[2])
    print(f"worst: {name} {mine / other:.2f}")


if __name__ == "__main__":
    main()
