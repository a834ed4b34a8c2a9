"""From boxes and scores of a detector to `things`, in the graph: what is kept, in rows sorted by score.

`things` is float32 [1, 24, 8]: class (COCO's 80 in their order, -1 for an empty row), score, left, top,
right, bottom in 0..1 of the picture, dominant colour (-1 where none dominates), its share.
"""

from __future__ import annotations

import numpy as np

from training.eye.colours import add_colours
from training.eye.nanodet import Found
from training.eye.sketch import Sketch

ROWS, WIDTH = 24, 8
THRESHOLD = 0.35
"""Score from which a thing counts."""
SAME_CLASS, ANY_CLASS = 0.5, 0.8
"""Overlap (intersection over union) of two boxes above which only the better one stays."""
_EMPTY = (-1, 0, 0, 0, 0, 0, -1, 0)


def add_things(sketch: Sketch, found: Found, rgb: str, threshold: float = THRESHOLD) -> str:
    """Write what comes after the detector; `rgb` is the picture in 0..1. Returns the tensor of `things`."""
    rows = _kept(sketch, found, threshold)
    boxes = sketch.op("Slice", rows, [2], [6], [1])
    colour, share = add_colours(sketch, rgb, boxes)
    front = sketch.op("Slice", rows, [0], [6], [1])
    return sketch.op("Unsqueeze", sketch.op("Concat", front, colour, share, axis=1), [0])


def _kept(sketch: Sketch, found: Found, threshold: float) -> str:
    """[24, 8] without colours: non-maximum suppression in each class, and then among all."""
    boxes, scores = (sketch.op("Unsqueeze", name, [0]) for name in (found.boxes, found.scores))
    first = sketch.op("NonMaxSuppression", boxes, scores, [ROWS], [SAME_CLASS], [threshold])
    kind, cell = (sketch.op("Slice", first, [column], [column + 1], [1]) for column in (1, 2))
    own = sketch.op("GatherND", found.scores, sketch.op("Concat", kind, cell, axis=1))
    places = sketch.op("Gather", found.boxes, sketch.op("Squeeze", cell, [1]), axis=0)
    # Classes no more: this also sorts by score and keeps as many as there are rows.
    second = sketch.op(
        "NonMaxSuppression",
        sketch.op("Unsqueeze", places, [0]),
        sketch.op("Unsqueeze", own, [0, 1]),
        [ROWS],
        [ANY_CLASS],
    )
    order = sketch.op("Squeeze", sketch.op("Slice", second, [2], [3], [1]), [1])
    columns = [
        sketch.op("Cast", sketch.op("Gather", kind, order, axis=0), to=1),
        sketch.op("Unsqueeze", sketch.op("Gather", own, order, axis=0), [1]),
        sketch.op("Gather", places, order, axis=0),
    ]
    some = sketch.op("Pad", sketch.op("Concat", *columns, axis=1), [0, 0, 0, 2])
    filled = sketch.op("Concat", some, np.array([_EMPTY] * ROWS, np.float32), axis=0)
    return sketch.op("Slice", filled, [0], [ROWS], [0])
