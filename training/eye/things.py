"""From what both views found to `things`, in the graph: what is kept, in rows sorted by score.

`things` is float32 [1, 24, 8]: class (COCO's 80 in their order, -1 for an empty row), score, left, top,
right, bottom in 0..1 of the picture, dominant colour (-1 where none dominates), its share.
"""

from __future__ import annotations

import numpy as np

from training.eye.colours import add_colours
from training.eye.sketch import Sketch
from training.eye.views import SAME, add_overlap, add_same, add_top

ROWS, WIDTH = 24, 8
THRESHOLD = 0.25
"""Score from which a thing is in the list, chosen on the tuning half of the photographs.

Low, because what is told of things says which of them are sure, and keeps the others for questions.
"""
INSIDE, ANY_CLASS = 0.8, 0.8
"""Only the better one of two boxes stays where that much of the smaller one lies in another of its class,
or where two boxes overlap that much, whatever their classes."""
_LOOKED_AT = 48
_ROUNDS = 8
"""How long a chain of boxes may be of which each would suppress the next."""
_EMPTY = (-1, 0, 0, 0, 0, 0)


def add_things(sketch: Sketch, rows: str, rgb: str, threshold: float = THRESHOLD) -> str:
    """Write what comes after the views, of things `rows` [n, 6]; `rgb` is the picture in 0..1.

    Returns the tensor of `things`.
    """
    kept = _kept(sketch, add_top(sketch, rows, _LOOKED_AT), threshold)
    boxes = sketch.op("Slice", kept, [2], [6], [1])
    colour, share = add_colours(sketch, rgb, boxes)
    return sketch.op("Unsqueeze", sketch.op("Concat", kept, colour, share, axis=1), [0])


def _kept(sketch: Sketch, rows: str, threshold: float) -> str:
    """[24, 6], sorted, empty rows last."""
    score = sketch.op("Slice", rows, [1], [2], [1])
    left = sketch.op("Mul", score, _alive(sketch, rows))
    enough = sketch.op("GreaterOrEqual", left, threshold)
    chosen = sketch.op("Where", enough, rows, np.array([_EMPTY], np.float32))
    return add_top(sketch, chosen, ROWS)


def _alive(sketch: Sketch, rows: str) -> str:
    """[n, 1]: 1 for what is left of sorted things [n, 6] when what is left suppresses what comes after it.

    One after the other in other programs; here all at once, again and again until nothing changes.
    """
    inside = sketch.op("Greater", add_overlap(sketch, rows, of_smaller=True), INSIDE)
    kind = sketch.op("Slice", rows, [0], [1], [1])
    equal = sketch.op("Equal", kind, sketch.op("Transpose", kind, perm=[1, 0]))
    doubles = sketch.op("Cast", sketch.op("And", equal, inside), to=1)
    any_class = sketch.op("Cast", sketch.op("Greater", add_overlap(sketch, rows), ANY_CLASS), to=1)
    either = sketch.op("Max", add_same(sketch, rows, SAME), doubles, any_class)
    before = np.tril(np.ones((_LOOKED_AT, _LOOKED_AT), np.float32), -1)
    suppresses = sketch.op("Mul", either, before)
    alive = sketch.constant(np.ones((_LOOKED_AT, 1), np.float32))
    for _ in range(_ROUNDS):
        against = sketch.op("MatMul", suppresses, alive)
        alive = sketch.op("Cast", sketch.op("Less", against, 0.5), to=1)
    return alive
