"""Memory and CPU time of a vision encoder against the tokens of an image, in blocks of queries and as it is.

`python -m tests.bench.image_memory FILE [TOKENS ...]`, with a FILE of
`python -m training.chat.qwen_random 2b-vision OUT --variants int8`. Each figure is of a process of its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import threading
import time
from pathlib import Path

import numpy as np

from hailo_common.inference.onnx import Graph
from hailo_common.inference.onnx_edits import in_query_blocks
from hailo_common.systemd.memory import anonymous_bytes

_LOOK_S = 0.003
_MB = 1_000_000


class Peak:
    """The most memory that this process holds while the block runs, in bytes above what it held before."""

    def __enter__(self) -> Peak:
        self._base = self._most = anonymous_bytes()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def extra(self) -> int:
        return self._most - self._base

    def _watch(self) -> None:
        while not self._ended.wait(_LOOK_S):
            self._most = max(self._most, anonymous_bytes())


def encode(graph: Graph, tokens: int) -> None:
    """One image of nearly square shape, of patches merged two by two."""
    rows = int(tokens**0.5)
    columns = tokens // rows
    width = graph.inputs["pixel_values"].shape[1] or 0
    pixels = np.random.default_rng(0).standard_normal((4 * rows * columns, width)).astype(np.float32)
    grid = np.array([[1, 2 * rows, 2 * columns]], np.int64)
    graph.run(["image_features"], {"pixel_values": pixels, "grid_thw": grid}, give_back=True)


def measure(path: Path, tokens: int, *, blocks: bool) -> None:
    """Print one row."""
    graph = Graph(path, 1, [in_query_blocks] if blocks else None)
    encode(graph, 4)
    began = time.process_time()
    with Peak() as peak:
        encode(graph, tokens)
    seconds = time.process_time() - began
    how = "in blocks" if blocks else "as it is"
    print(f"| {tokens} | {how} | +{peak.extra / _MB:.0f} MB | {seconds:.2f} s |", flush=True)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("tokens", type=int, nargs="*", default=[64, 256, 576, 768, 1024])
    options = parser.parse_args()
    print("| tokens | attention | memory | CPU time |\n|---|---|---|---|", flush=True)
    for tokens in options.tokens:
        for blocks in (False, True):
            process = multiprocessing.get_context("spawn").Process(
                target=measure, args=(options.file, tokens), kwargs={"blocks": blocks}
            )
            process.start()
            process.join()


if __name__ == "__main__":
    main()
