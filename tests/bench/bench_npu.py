"""What the host does for one decoder step of Florence-2 on a chip that needs no time, ours and the usual way.

The chip is the simulated one and computes nothing, so what is left is Python, numpy and waking threads. The
usual way is that of the community's script for the Hailo-8 (hailo-rpi5-examples, dynamic_captioning): real
numbers in and out, buffers and bindings made for each step. It makes the library convert all (32, 51289)
scores to real numbers in every step, on the host, which the simulator does not do when it computes nothing;
numpy's time for the same conversion stands for it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hailo_common.inference.sampling import Chooser
from hailo_common.npu.hailort import Npu, NpuSettings, open_npu
from hailo_common.npu.network import Network
from hailo_florence.model.generation import Generation, GenerationConfig, LengthLimits, generate
from hailo_florence.npu.decoder import HailoDecoder
from hailo_florence.npu.encoder import WordEmbedding
from tests.bench.bench_models import ROOT
from tests.bench.bench_service import Client, Row, take_turns
from tests.hailo_florence.npu.serving import on_chip
from tests.hailo_sim.hef_file import stream, write_hef
from tests.hailo_sim.make import make_florence_folder
from tests.limits import SETTINGS
from tests.npu import Fault, Machine

SAMPLE = ROOT / "docs" / "sample.jpg"
NAME = "florence2_transformer_decoder"
LENGTH, WINDOW, WIDTH, VOCABULARY = 153, 32, 768, 51_289
STEPS = WINDOW - 1
START = 2
RULES = GenerationConfig(
    start=START, eos=(START,), bos=0, pad=1, forced_bos=0, forced_eos=START, no_repeat_ngram=3
)
TIMEOUT_MS = 1000
Table = NDArray[np.float32]


def host_cost(rounds: int) -> list[Row]:
    """CPU milliseconds of the host for one step, p50 of each way, taken in turns in one process."""
    with tempfile.TemporaryDirectory() as folder, Machine(Path(folder), speed={"compute": False}) as machine:
        _write_model(Path(folder))
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.bench_npu", folder, str(rounds)],
            env={**os.environ, **machine.environ},
            stdout=subprocess.PIPE,
            check=True,
        )
    ours, sampled, theirs, converting = (seconds * 1e3 for seconds in json.loads(done.stdout))
    what = f"Florence on an instant chip, {VOCABULARY} words: host's CPU time for a decoder step, p50"
    return [
        (
            f"{what}, community's script (its own lines + converting all scores) / ours",
            f"{theirs:.2f} + {converting:.2f} / **{ours:.3f} ms** = {(theirs + converting) / ours:.1f}x",
        ),
        (f"{what}, ours sampled at temperature 0.7", f"{sampled:.3f} ms"),
    ]


def health_while_held(seconds: float = 10.0) -> list[Row]:
    """Latency of /health while the chip holds Python's lock in the engine process."""
    with tempfile.TemporaryDirectory() as folder, Machine(Path(folder) / "machine") as machine:
        model = make_florence_folder(Path(folder) / "model")
        with on_chip(machine, model, device_timeout_s=60) as service:
            machine.inject(Fault("AsyncInferJob.wait", "delay", seconds=seconds, at=2))
            client, times = Client(service.port, SAMPLE.read_bytes(), 5), []
            asking = threading.Thread(target=Client(service.port, SAMPLE.read_bytes(), 5).post)
            asking.start()
            while asking.is_alive():
                began = time.perf_counter()
                client.health()
                times.append(time.perf_counter() - began)
                time.sleep(0.01)
            asking.join()
    cuts = statistics.quantiles(times, n=100)
    text = f"p50 {cuts[49] * 1e3:.1f} ms, p99 **{cuts[98] * 1e3:.1f} ms** ({len(times)} requests)"
    return [(f"/health while the chip holds Python's lock for {seconds:g} s", text)]


def _write_model(folder: Path) -> None:
    """The published decoder's shapes, and a table of words; the graph is never run."""
    streams = [
        stream(f"{NAME}/input_layer1", "input", (1, LENGTH, WIDTH), (-4, 4), kind="UINT8"),
        stream(f"{NAME}/input_layer2", "input", (1, WINDOW, WIDTH), (-1, 1), kind="UINT8"),
        stream(
            f"{NAME}/output_layer1", "output", (WINDOW, VOCABULARY, 1), (-20, 20), order="NHW", kind="UINT8"
        ),
    ]
    about = {
        "kind": "infer",
        "architecture": "hailo10h",
        "zoo": "5.2.0",
        "graph": "graph",
        "streams": streams,
    }
    write_hef(folder / f"{NAME}.hef", about, {"graph": b""})
    np.save(folder / "word_embedding.npy", np.zeros((VOCABULARY, WIDTH), np.float32))


def _measure(folder: Path, rounds: int) -> list[float]:
    """Seconds for a step: ours, ours sampled, theirs without and for the conversion of scores."""
    with open_npu(NpuSettings(SETTINGS.hailo_group_id, SETTINGS.device_timeout_s)) as chip:
        hidden = np.zeros((1, LENGTH, WIDTH), np.float32)
        words = WordEmbedding(folder / "word_embedding.npy")
        with Network(chip, folder / f"{NAME}.hef", 10.0) as network:
            decoder = HailoDecoder(network, words)
            ways = (
                lambda: _ours(decoder, hidden, Chooser()),
                lambda: _ours(decoder, hidden, Chooser(0.7, 1)),
                _theirs(chip, folder, hidden, np.load(folder / "word_embedding.npy")),
                lambda: _convert(decoder),
            )
            times = take_turns(rounds + 1, *(partial(_cpu_seconds, way) for way in ways))
    return [statistics.median(seconds[1:]) / STEPS for seconds in times]


def _convert(decoder: HailoDecoder) -> None:
    """All scores of as many steps to real numbers."""
    for _ in range(STEPS):
        for port in decoder.scores:
            port.read(WINDOW)


def _cpu_seconds(way: Callable[[], None]) -> float:
    """This process's CPU time, all threads, so that other work on the machine hardly counts."""
    began = time.process_time()
    way()
    return time.process_time() - began


def _ours(decoder: HailoDecoder, hidden: Table, chooser: Chooser) -> None:
    """An answer that fills the window, made as the engine does, with a published Florence-2's rules."""
    (scores,) = decoder.scores
    scores.buffer[:] = 1
    scores.buffer[np.arange(WINDOW), np.arange(WINDOW) + 100] = 200
    answer = Generation()
    for _ in generate(decoder.start(hidden), RULES, LengthLimits(WINDOW - 2), chooser, answer):
        pass
    assert len(answer.tokens) >= STEPS


def _theirs(chip: Npu, folder: Path, hidden: Table, words: Table) -> Callable[[], None]:
    """The script's loop over as many steps."""
    model: Any = chip.infer_model(folder / f"{NAME}.hef")
    real = chip.format_type("FLOAT32")
    for each in (*model.inputs, *model.outputs):
        each.set_format_type(real)
    configured = model.configure()

    def infer(rows: Table) -> Table:
        scores = np.empty((WINDOW, VOCABULARY), np.float32)
        bindings = configured.create_bindings()
        bindings.input(f"{NAME}/input_layer1").set_buffer(hidden)
        bindings.input(f"{NAME}/input_layer2").set_buffer(rows)
        bindings.output().set_buffer(scores)
        configured.run_async([bindings], lambda completion_info: None).wait(TIMEOUT_MS)
        return scores

    def answer() -> None:
        empty = np.zeros((1, 1, WINDOW, WIDTH)).astype(np.float32)
        rows = np.insert(empty, 0, words[START], axis=2)[:, :, :-1, :]
        for step in range(STEPS):
            token = int(np.argmax(infer(np.ascontiguousarray(rows)).squeeze()[step]))
            rows = np.insert(rows, step + 1, words[token], axis=2)[:, :, :-1, :]

    return answer


if __name__ == "__main__":
    print(json.dumps(_measure(Path(sys.argv[1]), int(sys.argv[2]))))
