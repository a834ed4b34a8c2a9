"""Is a batch of pictures worth it in the vision encoder? CPU time of one picture, in batches of each size.

`python -m tests.bench.vision_batch FOLDER [ROUNDS]`, one thread.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from hailo_common.inference.model_dir import ModelDir
from hailo_common.inference.onnx import Graph
from hailo_florence.model.preprocess import read_image_settings

_PICTURES = 8
_INPUT, _OUTPUT = "pixel_values", "image_features"


def main(folder: Path, rounds: int) -> None:
    """Print a line for each size of a batch."""
    model = ModelDir(folder)
    target = read_image_settings(model).target
    graph = Graph(model.onnx("vision_encoder"), 1)
    shape = (_PICTURES, 3, target.height, target.width)
    pixels = graph.cast(_INPUT, np.random.default_rng(0).standard_normal(shape, np.float32))
    for size in (1, 2, 4, 8):
        best = float("inf")
        for _ in range(rounds):
            began = time.process_time()
            for start in range(0, _PICTURES, size):
                graph.run([_OUTPUT], {_INPUT: pixels[start : start + size]})
            best = min(best, time.process_time() - began)
        print(f"batches of {size}: {best / _PICTURES * 1e3:.1f} ms a picture")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 5)
