"""The dominant colour of each box, in the graph: a histogram of named colours, heavier in the box's middle.

Every second pixel of every second row gets the name of the nearest of some known colours, in CIE L*a*b*
(D65), where distances are about as people see them. Source of the formulas: CIE 15, and IEC 61966-2-1 for
sRGB.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.eye.sketch import Sketch
from training.things.kinds import COLOURS

DOMINANT = 0.4
"""Share of a box below which no colour is said to dominate."""
_STEP = 2
_WIDTH = 0.5
"""How wide the middle is: deviation of the weights, in half sides of the box."""

_KNOWN = {
    "black": ("000000", "1a1a1a", "101820", "201414"),
    "gray": (
        "404040",
        "606060",
        "808080",
        "a0a0a0",
        "bebebe",
        "6b7076",
        "8b8680",
        "9aa0a8",
        "d4d6d2",
        "70806c",
    ),
    "white": ("ffffff", "e8e8e8", "f5f0e6", "e6ecf2"),
    "red": ("ff0000", "c00000", "900000", "d03030", "b02a30", "e0322a"),
    "orange": ("ff8000", "ff9a30", "e07010", "ff6a20", "f0a050"),
    "yellow": ("ffff00", "ffe030", "e0c010", "f8e878", "d8c838", "ffc810"),
    "green": (
        "00ff00",
        "008000",
        "30a030",
        "405c20",
        "607840",
        "90c060",
        "204020",
        "80a080",
        "a8c860",
        "a0d010",
        "20a070",
        "90a010",
    ),
    "cyan": ("00ffff", "00c0c0", "40e0d0", "80d8d8", "009090"),
    "blue": (
        "0000ff",
        "000080",
        "3060c0",
        "4090e0",
        "80b0e0",
        "203860",
        "5878a0",
        "1e90ff",
        "a8c8f0",
        "2040c0",
        "4858d8",
        "2828a0",
    ),
    "purple": (
        "800080",
        "6030a0",
        "9040c0",
        "502060",
        "a080c0",
        "8060e0",
        "a020f0",
        "785080",
        "6010e0",
        "b050c8",
    ),
    "pink": ("ff80c0", "ff60a0", "ffb0c0", "e080a0", "ff00ff", "f0c0c8", "e040a0"),
    "brown": (
        "603010",
        "804820",
        "a06840",
        "402818",
        "8a6848",
        "b08860",
        "5c4430",
        "c09870",
        "b07010",
        "702010",
        "685008",
        "201008",
        "988040",
    ),
}
_SRGB_TO_XYZ = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
_WHITE = (0.95047, 1.0, 1.08883)
_XYZ_TO_LAB = ((0, 116, 0), (500, -500, 0), (0, 200, -200))


def add_colours(sketch: Sketch, rgb: str, boxes: str) -> tuple[str, str]:
    """Write the histogram; `rgb` is the picture [1, 3, side, side] in 0..1, `boxes` [n, 4] in 0..1.

    Returns the tensors of the colour [n, 1], -1 where none dominates, and of its share [n, 1].
    """
    small = sketch.op("Slice", rgb, [_STEP // 2] * 2, [1 << 30] * 2, [2, 3], [_STEP] * 2)
    named = _names(sketch, sketch.op("Clip", small, 0.0, 1.0))
    shape = sketch.op("Shape", small)
    rows, columns = (sketch.op("Slice", shape, [axis], [axis + 1]) for axis in (2, 3))
    down = _weights(sketch, boxes, 1, rows)
    across = _weights(sketch, boxes, 0, columns)
    # [12, rows, columns] weighted from the left and then along the rows
    rowwise = sketch.op("MatMul", named, sketch.op("Transpose", across, perm=[1, 0]))
    each = sketch.op("Mul", rowwise, sketch.op("Transpose", down, perm=[1, 0]))
    counts = sketch.op("Transpose", sketch.op("ReduceSum", each, [1], keepdims=0), perm=[1, 0])
    total = sketch.op("Max", sketch.op("ReduceSum", counts, [1], keepdims=1), 1e-6)
    shares = sketch.op("Div", counts, total)
    most = sketch.op("ReduceMax", shares, axes=[1], keepdims=1)
    index = sketch.op("Cast", sketch.op("ArgMax", shares, axis=1, keepdims=1), to=1)
    dominates = sketch.op("GreaterOrEqual", most, DOMINANT)
    zero = 0.0
    return sketch.op("Where", dominates, index, -1.0), sketch.op("Where", dominates, most, zero)


def _weights(sketch: Sketch, boxes: str, axis: int, count: str) -> str:
    """[n, count]: how much each row or column counts for each box, nothing outside."""
    near, far = (sketch.op("Slice", boxes, [axis + end], [axis + end + 1], [1]) for end in (0, 2))
    number = sketch.op("Cast", count, to=1)
    steps = sketch.op("Range", 0.0, sketch.op("Squeeze", number), 1.0)
    at = sketch.op("Div", sketch.op("Add", steps, 0.5), number)
    half = sketch.op("Mul", sketch.op("Sub", far, near), 0.5)
    middle = sketch.op("Add", near, half)
    least = sketch.op("Max", half, sketch.op("Div", 0.5, number))
    off = sketch.op("Div", sketch.op("Sub", at, middle), least)
    square = sketch.op("Mul", off, off)
    falling = sketch.op("Exp", sketch.op("Mul", square, -0.5 / _WIDTH**2))
    inside = sketch.op("Cast", sketch.op("LessOrEqual", square, 1.0), to=1)
    some = sketch.op("Cast", sketch.op("Greater", half, 0.0), to=1)
    return sketch.op("Mul", sketch.op("Mul", falling, inside), some)


def _names(sketch: Sketch, rgb: str) -> str:
    """[12, rows, columns]: 1 where a pixel has that colour."""
    known, owner = known_colours()
    lab = _lab(sketch, rgb)
    # The nearest is the one with the largest x.k - |k|^2 / 2.
    likeness = sketch.op(
        "Conv",
        lab,
        known[:, :, None, None].astype(np.float32),
        (-0.5 * (known**2).sum(axis=1)).astype(np.float32),
    )
    nearest = sketch.op("ArgMax", likeness, axis=1, keepdims=0)
    table = np.eye(len(COLOURS), dtype=np.float32)[owner]
    picked = sketch.op("Gather", table, nearest, axis=0)  # [1, rows, columns, 12]
    return sketch.op("Squeeze", sketch.op("Transpose", picked, perm=[0, 3, 1, 2]), [0])


def _lab(sketch: Sketch, rgb: str) -> str:
    low = sketch.op("Div", rgb, 12.92)
    high = sketch.op("Pow", sketch.op("Div", sketch.op("Add", rgb, 0.055), 1.055), 2.4)
    linear = sketch.op("Where", sketch.op("LessOrEqual", rgb, 0.04045), low, high)
    to_xyz = (np.array(_SRGB_TO_XYZ) / np.array(_WHITE)[:, None]).astype(np.float32)[:, :, None, None]
    xyz = sketch.op("Conv", linear, to_xyz)
    limit, slope = (6 / 29) ** 3, (29 / 6) ** 2 / 3
    root = sketch.op("Pow", sketch.op("Max", xyz, limit), 1 / 3)
    line = sketch.op("Add", sketch.op("Mul", xyz, slope), 4 / 29)
    curved = sketch.op("Where", sketch.op("Greater", xyz, limit), root, line)
    shift = np.array([-16, 0, 0], np.float32)
    return sketch.op("Conv", curved, np.array(_XYZ_TO_LAB, np.float32)[:, :, None, None], shift)


def known_colours() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The known colours in L*a*b* [k, 3], and which of `COLOURS` each is [k]."""
    rgb = [bytes.fromhex(code) for name in COLOURS for code in _KNOWN[name]]
    owner = [number for number, name in enumerate(COLOURS) for _ in _KNOWN[name]]
    return lab_of(np.array([list(code) for code in rgb]) / 255), np.array(owner)


def lab_of(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """sRGB in 0..1 [..., 3] to L*a*b*."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = linear @ np.array(_SRGB_TO_XYZ).T / np.array(_WHITE)
    curved = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * (29 / 6) ** 2 / 3 + 4 / 29)
    lab: NDArray[np.float64] = curved @ np.array(_XYZ_TO_LAB).T - [16, 0, 0]
    return lab
