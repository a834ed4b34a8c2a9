"""A vision encoder that reads a list out of a picture's first pixels, instead of finding things in it.

With it the service's own engine can be asked about invented lists: a folder that has this eye and the other
files of a model is measured without any picture.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from training.everyday.export_everyday import encoder_graph
from training.everyday.model import MERGE, PATCH, Speaker
from training.eye.graphs import THINGS, Normalisation, Patches, add_whole, qwen_model
from training.eye.sketch import Sketch
from training.onnx.qwen_files import IMAGE_MEAN, IMAGE_STD
from training.things.view import ROWS, Thing, tensor_rows

SIDE = 9 * PATCH * MERGE
NUMBERS = 8 * ROWS
OFFSET, STEPS = 1.0, 1 << 17
"""A number v is stored as `(v + OFFSET) * STEPS` in the three bytes of a pixel, so v may go up to 127."""


def stored(things: Sequence[Thing]) -> list[Thing]:
    """The list with numbers that a picture of it holds exactly."""

    def whole(value: float) -> float:
        return round(value * STEPS) / STEPS

    return [
        Thing(
            each.kind,
            whole(each.score),
            (whole(each.box[0]), whole(each.box[1]), whole(each.box[2]), whole(each.box[3])),
            each.colour,
            whole(each.share),
        )
        for each in things
    ]


def picture_of(things: Sequence[Thing]) -> NDArray[np.uint8]:
    """(SIDE, SIDE, 3) with the list in its first row of pixels, and grey below."""
    picture = np.full((SIDE, SIDE, 3), 128, np.uint8)
    numbers = np.rint((np.array(tensor_rows(things)).ravel() + OFFSET) * STEPS).astype(np.int64)
    for place in range(3):
        picture[0, :NUMBERS, place] = numbers >> 16 - 8 * place & 255
    return picture


def list_eye(speaker: Speaker) -> onnx.ModelProto:
    """The graph, with the layout of `qwen_eye`."""
    sketch = Sketch("list.")
    patches = Patches(PATCH, merge=MERGE)
    undone = Normalisation(IMAGE_MEAN, IMAGE_STD).undone(sketch, add_whole(sketch, patches))
    row = sketch.op("Slice", undone, [0, 0], [1, NUMBERS], [2, 3])
    whole = sketch.op("Round", sketch.op("Mul", row, 255.0))
    parts = np.array([1 << 16, 1 << 8, 1], np.float32).reshape(1, 3, 1, 1)
    value = sketch.op("ReduceSum", sketch.op("Mul", whole, parts), [1], keepdims=0)
    things = sketch.op("Sub", sketch.op("Div", value, float(STEPS)), OFFSET)
    sketch.call(sketch.op("Reshape", things, [1, ROWS, 8]), THINGS)
    return qwen_model(sketch, encoder_graph(speaker.encoder), patches, speaker.encoder.rest.tolist())


def list_folder(folder: Path, speaker: Speaker, out: Path) -> Path:
    """A copy of a model folder with this eye."""
    shutil.copytree(folder, out, dirs_exist_ok=True)
    onnx.save(list_eye(speaker), str(out / "onnx" / "vision_encoder.onnx"))
    return out
