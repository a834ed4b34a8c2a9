"""The picture at two sizes, and what is found in both, in the graph.

A detector that was trained at 416 pixels knows large things better when they come smaller. Found at 224 and,
mirrored, at 320 pixels, each thing gets the mean of its two scores: what is seen in one view only counts
half. The two views together cost less than one at 416.
"""

from __future__ import annotations

import numpy as np

from training.eye.nanodet import Found, add_nanodet
from training.eye.sketch import Sketch
from training.eye.tfjs import TfjsGraph

LARGE, SMALL = 320, 224
VIEWS = 2
EACH = 60
"""Things of one view that are looked at further."""
SAME = 0.5
"""Overlap (intersection over union) from which two boxes of a class are the same thing."""
_FAINT = 0.1
"""Score below which nothing is looked at further."""


def add_views(source: TfjsGraph, sketch: Sketch, rgb: str) -> tuple[str, str]:
    """Write both views of the picture `rgb` [1, 3, height, width] in 0..1.

    Returns the things [120, 6] (class or -1, mean score, left, top, right, bottom), those of the larger view
    first, and the smaller picture [1, 3, 224, 224].
    """
    large, small = _resized(sketch, rgb, LARGE), _halved(sketch, _resized(sketch, rgb, 2 * SMALL))
    mirrored = sketch.op("Slice", large, [-1], [-(1 << 30)], [3], [-1])
    found = add_nanodet(source, sketch, mirrored, LARGE)
    turned = sketch.op("Gather", found.boxes, [2, 1, 0, 3], axis=1)
    back = sketch.op("Add", sketch.op("Mul", turned, [-1.0, 1.0, -1.0, 1.0]), [1.0, 0.0, 1.0, 0.0])
    views = Found(back, found.scores), add_nanodet(source, sketch, small, SMALL)
    return add_both(sketch, *views), small


def add_both(sketch: Sketch, first: Found, second: Found) -> str:
    """Write how two views of one picture become one list: `add_views` says of what."""
    rows = sketch.op("Concat", _best(sketch, first), _best(sketch, second), axis=0)
    score = sketch.op("Slice", rows, [1], [2], [1])
    seen = sketch.op("Mul", add_same(sketch, rows, SAME), sketch.op("Transpose", score, perm=[1, 0]))
    by_view = sketch.op("Reshape", seen, [VIEWS * EACH, VIEWS, EACH])
    best = sketch.op("ReduceMax", by_view, axes=[2], keepdims=0)
    mean = sketch.op("ReduceMean", best, axes=[1], keepdims=1)
    kind, box = (sketch.op("Slice", rows, [start], [end], [1]) for start, end in ((0, 1), (2, 6)))
    return sketch.op("Concat", kind, mean, box, axis=1)


def add_same(sketch: Sketch, rows: str, least: float) -> str:
    """[n, n]: 1 where two things [n, 6] are of a class and overlap more than `least`."""
    kind = sketch.op("Slice", rows, [0], [1], [1])
    equal = sketch.op("Equal", kind, sketch.op("Transpose", kind, perm=[1, 0]))
    return sketch.op(
        "Cast", sketch.op("And", equal, sketch.op("Greater", add_overlap(sketch, rows), least)), to=1
    )


def add_overlap(sketch: Sketch, rows: str, *, of_smaller: bool = False) -> str:
    """[n, n]: intersection over union of the boxes of things [n, 6], or over the smaller one of the two."""

    def column(index: int) -> tuple[str, str]:
        down = sketch.op("Slice", rows, [index], [index + 1], [1])
        return down, sketch.op("Transpose", down, perm=[1, 0])

    left, top, right, bottom = (column(index) for index in range(2, 6))

    def along(near: tuple[str, str], far: tuple[str, str]) -> str:
        length = sketch.op("Sub", sketch.op("Min", *far), sketch.op("Max", *near))
        return sketch.op("Max", length, 0.0)

    both = sketch.op("Mul", along(left, right), along(top, bottom))
    areas = [
        sketch.op("Mul", sketch.op("Sub", right[way], left[way]), sketch.op("Sub", bottom[way], top[way]))
        for way in range(2)
    ]
    whole = sketch.op("Min", *areas) if of_smaller else sketch.op("Sub", sketch.op("Add", *areas), both)
    return sketch.op("Div", both, sketch.op("Max", whole, 1e-9))


def _best(sketch: Sketch, found: Found) -> str:
    """[60, 6]: the best things of one view after non-maximum suppression in each class; empty rows last."""
    boxes, scores = (sketch.op("Unsqueeze", name, [0]) for name in (found.boxes, found.scores))
    chosen = sketch.op("NonMaxSuppression", boxes, scores, [EACH], [SAME], [_FAINT])
    kind, cell = (sketch.op("Slice", chosen, [column], [column + 1], [1]) for column in (1, 2))
    own = sketch.op("GatherND", found.scores, sketch.op("Concat", kind, cell, axis=1))
    places = sketch.op("Gather", found.boxes, sketch.op("Squeeze", cell, [1]), axis=0)
    some = sketch.op(
        "Concat", sketch.op("Cast", kind, to=1), sketch.op("Unsqueeze", own, [1]), places, axis=1
    )
    empty = np.tile(np.array([-1, 0, 0, 0, 0, 0], np.float32), (EACH, 1))
    return add_top(sketch, sketch.op("Concat", some, empty, axis=0), EACH)


def add_top(sketch: Sketch, rows: str, count: int) -> str:
    """The things with the highest scores, sorted by them."""
    score = sketch.op("Squeeze", sketch.op("Slice", rows, [1], [2], [1]), [1])
    _, order = sketch.several("TopK", score, [count], count=2, axis=0)
    return sketch.op("Gather", rows, order, axis=0)


def _resized(sketch: Sketch, rgb: str, side: int) -> str:
    mode = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    return sketch.op("Resize", rgb, "", "", [1, 3, side, side], **mode)


def _halved(sketch: Sketch, rgb: str) -> str:
    return sketch.op("AveragePool", rgb, kernel_shape=[2, 2], strides=[2, 2])
