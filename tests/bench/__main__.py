"""Prints every measured ratio as a Markdown table: `make bench`. All of one run, on this machine."""

from __future__ import annotations

import platform
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy
import onnxruntime

from hailo_florence.__main__ import BUNDLED_DEMO
from tests.bench import bench_decode
from tests.bench.bench_pipeline import against_transformers
from tests.bench.bench_service import Row, health_under_load, latency, start_up
from tests.bench.bench_stream import streaming

ROOT = Path(__file__).parent.parent.parent
SAMPLE = ROOT / "docs" / "sample.jpg"
CACHE = ROOT / ".cache" / "bench"


def base_model(size: str) -> Path:
    """A random-weight Florence-2-base, made once (needs PyTorch)."""
    from training.random_model import SIZES, write_random_model  # noqa: PLC0415

    folder = CACHE / size
    if not (folder / "onnx" / "decoder_model_merged.onnx").exists():
        print(f"making random weights of the size {size} ...", file=sys.stderr)
        write_random_model(folder, SIZES[size])
    return folder


def show(rows: list[Row]) -> None:
    """Print table rows as soon as they are known."""
    for name, value in rows:
        print(f"| {name} | {value} |", flush=True)


def main() -> None:
    """Run everything; what needs PyTorch only where it is installed."""
    picture = SAMPLE.read_bytes()
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, ", end="")
    print(f"onnxruntime {onnxruntime.__version__}, numpy {numpy.__version__}, one inference thread\n")
    print("| what | measured |\n|---|---|")
    show(latency("demo model", BUNDLED_DEMO, picture, max_length=100, rounds=200))
    show(start_up(BUNDLED_DEMO))
    show(health_under_load(BUNDLED_DEMO, picture))
    show(streaming())
    for label, ours, theirs, ratio in bench_decode.bench():
        show(
            [(f"{label}: full-resolution Pillow / ours", f"{theirs:.1f} / {ours:.1f} ms = **{ratio:.1f}x**")]
        )
    if find_spec("torch") is None:
        print("\nNo PyTorch here: the comparison with transformers is left out.", file=sys.stderr)
        return
    show(against_transformers("demo model", BUNDLED_DEMO, tokens=12, rounds=30))
    for size in ("base-384", "base-768"):
        model = base_model(size)
        show(against_transformers(f"Florence-2-{size}", model, tokens=20, rounds=5))
        show(latency(f"Florence-2-{size}", model, picture, max_length=20, rounds=12))


if __name__ == "__main__":
    main()
