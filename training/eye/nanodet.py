"""NanoDet in the graph: the picture as it wants it, its outputs as boxes and scores.

What it wants is stated by its authors' configuration (nanodet-g): blue, green, red at 416 x 416 pixels with
mean 103.53, 116.28, 123.675 and deviation 57.375, 57.12, 58.395; cells of 8, 16 and 32 pixels; for each side
of a box a distribution over 0 to 10 cells, counted from the cell's middle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.eye.sketch import Sketch
from training.eye.tfjs import TfjsGraph
from training.eye.to_onnx import add_detector

SIDE = 416
CLASSES = 80
MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""Of red, green and blue, in grey levels."""
PICTURE = "picture"
"""What the detector's own graph begins with: by the names that `named` gives it can be cut out of an eye."""
OUTPUTS = tuple(f"Identity{number}:0" for number in ("", "_1", "_2", "_3", "_4", "_5"))
"""Of the source: scores of strides 8, 16 and 32, then sides."""
_STRIDES = 8, 16, 32
_BINS = 11


@dataclass(frozen=True)
class Found:
    """Tensors: `boxes` [cells, 4], left, top, right, bottom in 0..1; `scores` [80, cells]."""

    boxes: str
    scores: str


def add_nanodet(source: TfjsGraph, sketch: Sketch, rgb: str, side: int = SIDE) -> Found:
    """Write detector and decoding; `rgb` is the picture [1, 3, side, side] in 0..1, side a multiple of 32."""
    scale, offset = (np.array(values, np.float32).reshape(3, 1, 1) for values in (DEVIATION, MEAN))
    normal = sketch.op("Sub", sketch.op("Mul", rgb, 255 / scale), offset / scale)
    picture = named(PICTURE, side)
    sketch.call(sketch.op("Gather", normal, [2, 1, 0], axis=1), picture)
    outputs = add_detector(source, sketch, picture)
    for output, name in outputs.items():
        sketch.call(name, named(output, side))
    scores = sketch.op("Concat", *(named(name, side) for name in OUTPUTS[:3]), axis=1)
    sides = sketch.op("Concat", *(named(name, side) for name in OUTPUTS[3:]), axis=1)
    by_class = sketch.op("Transpose", sketch.op("Reshape", scores, [-1, CLASSES]), perm=[1, 0])
    return Found(_boxes(sketch, sides, side), by_class)


def named(tensor: str, side: int) -> str:
    """The tensor of an eye that is this one of the source, of the picture that has this side there."""
    return f"detector.{side}.{tensor}"


def _boxes(sketch: Sketch, sides: str, side: int) -> str:
    """Distances are the mean of their distribution, in cells of their stride."""
    shares = sketch.op("Softmax", sketch.op("Reshape", sides, [-1, 4, _BINS]), axis=-1)
    distances = sketch.op("MatMul", shares, np.arange(_BINS, dtype=np.float32)[:, None])
    corner = np.array([-1, -1, 1, 1], np.float32)
    middles, strides = _cells(side)
    moved = sketch.op("Mul", sketch.op("Reshape", distances, [-1, 4]), strides * corner)
    return sketch.op("Clip", sketch.op("Add", moved, middles), 0.0, 1.0)


def _cells(side: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The middle of each cell as a box without size [cells, 4], and the cell's side [cells, 1], in 0..1."""
    middles, strides = [], []
    for stride in _STRIDES:
        count = side // stride
        at = (np.arange(count, dtype=np.float32) + 0.5) * stride / side
        x, y = np.tile(at, count), np.repeat(at, count)
        middles.append(np.stack([x, y, x, y], axis=1))
        strides.append(np.full((count * count, 1), stride / side, np.float32))
    return np.concatenate(middles), np.concatenate(strides)
