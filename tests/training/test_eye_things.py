"""What the eye keeps of two views, the colours it names, and how it puts pictures together again."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from hailo_common.inference.hf_config import Pixels
from hailo_vision.onnx.families.qwen2_vl.preprocess import ImageSettings, Patcher
from training.eye.graphs import THINGS, Normalisation, Patches, add_whole
from training.eye.nanodet import CLASSES, Found
from training.eye.replace import joined
from training.eye.sketch import Sketch
from training.eye.things import ROWS, THRESHOLD, WIDTH, add_things
from training.eye.views import SAME, add_both
from training.things.kinds import COLOURS
from training.things.places import overlap

Scored = list[tuple[int, float, tuple[float, float, float, float]]]


def session(model: onnx.ModelProto) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


INPUTS: dict[str, tuple[int | str, ...]] = {
    "boxes_0": ("cells_0", 4),
    "scores_0": (CLASSES, "cells_0"),
    "boxes_1": ("cells_1", 4),
    "scores_1": (CLASSES, "cells_1"),
    "rgb": (1, 3, 224, 224),
}
"""Boxes and scores of each view, and the picture."""


@pytest.fixture(scope="module")
def keep() -> Any:
    """Boxes, scores of two views and a picture to `things`, as the eye does it behind its detector."""
    sketch = Sketch()
    rows = add_both(sketch, Found("boxes_0", "scores_0"), Found("boxes_1", "scores_1"))
    sketch.call(add_things(sketch, rows, "rgb", THRESHOLD), "things")
    return session(sketch.model("after", INPUTS, {"things": (1, ROWS, WIDTH)}))


def arrays(found: Scored) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Boxes [cells, 4] and scores [80, cells]."""
    boxes = np.array([box for *_, box in found], np.float32).reshape(-1, 4)
    scores = np.full((CLASSES, len(found)), 0.01, np.float32)
    for cell, (kind, score, _) in enumerate(found):
        scores[kind, cell] = score
    return boxes, scores


def things(
    keep: Any, found: Scored, other: Scored | None = None, rgb: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """`found` in one view, and in the other one too or what is `other` there."""
    feeds = {"rgb": np.zeros((1, 3, 224, 224), np.float32) if rgb is None else rgb}
    for view, seen in enumerate((found, found if other is None else other)):
        feeds[f"boxes_{view}"], feeds[f"scores_{view}"] = arrays(seen)
    made: NDArray[np.float32] = keep.run(None, feeds)[0]
    assert made.shape == (1, ROWS, WIDTH)
    rows: NDArray[np.float32] = made[0]
    return rows


EMPTY = [-1, 0, 0, 0, 0, 0, -1, 0]


@pytest.mark.parametrize("found", [[], [(3, THRESHOLD - 0.01, (0.1, 0.1, 0.5, 0.5))]])
def test_an_empty_picture_has_empty_rows(keep: Any, found: Scored) -> None:
    assert (things(keep, found) == EMPTY).all()


def test_rows_are_sorted_and_doubles_go(keep: Any) -> None:
    found: Scored = [
        (16, 0.6, (0.1, 0.1, 0.5, 0.5)),
        (16, 0.9, (0.12, 0.1, 0.5, 0.5)),  # the same dog, seen better
        (16, 0.65, (0.15, 0.1, 0.25, 0.2)),  # its head
        (16, 0.7, (0.6, 0.1, 0.9, 0.5)),  # another dog
        (15, 0.62, (0.12, 0.1, 0.5, 0.49)),  # the first dog, taken for a cat
        (0, 0.8, (0.1, 0.1, 0.5, 0.8)),  # somebody behind it
    ]
    rows = things(keep, found)
    assert rows[:4, 0].tolist() == [16, 0, 16, -1]
    assert np.allclose(rows[:4, 1], [0.9, 0.8, 0.7, 0])
    assert np.allclose(rows[0, 2:6], found[1][2])


def test_what_one_view_sees_alone_counts_half(keep: Any) -> None:
    first: Scored = [(16, 0.9, (0.1, 0.1, 0.5, 0.5)), (2, 0.8, (0.6, 0.6, 0.8, 0.8))]
    second: Scored = [(16, 0.5, (0.12, 0.1, 0.5, 0.52)), (7, 0.8, (0.6, 0.6, 0.8, 0.8))]
    rows = things(keep, first, second)
    assert np.allclose(rows[0, :2], [16, 0.7])
    assert np.allclose(rows[1, :2], [2, 0.4])
    assert (rows[2:] == EMPTY).all()  # a car or a truck in the same place: only the first of them


def test_no_more_than_there_are_rows(keep: Any) -> None:
    found: Scored = [
        (number % 5, 0.5 + number / 100, (number / 40, 0, number / 40 + 0.02, 1)) for number in range(40)
    ]
    rows = things(keep, found)
    assert (rows[:, 0] >= 0).all()
    assert np.allclose(rows[:, 1], [0.5 + number / 100 for number in range(39, 15, -1)])


def test_a_row_of_boxes_is_thinned_as_one_after_the_other_would(keep: Any) -> None:
    """Each overlaps the next by more than half: every second one stays, also of a long chain."""
    found: Scored = [
        (5, 0.9 - number / 50, (number * 0.03, 0, number * 0.03 + 0.1, 1)) for number in range(12)
    ]
    kept: Scored = []
    for thing in found:
        if all(overlap(thing[2], other[2]) <= SAME for other in kept):
            kept.append(thing)
    rows = things(keep, found)
    assert np.allclose(rows[: len(kept), 1], [score for _, score, _ in kept])
    assert rows[len(kept), 0] == -1


PAINTS = {
    "black": (10, 12, 9),
    "gray": (120, 124, 118),
    "white": (250, 248, 245),
    "red": (190, 20, 30),
    "orange": (250, 140, 20),
    "yellow": (245, 220, 40),
    "green": (40, 130, 50),
    "cyan": (30, 210, 215),
    "blue": (30, 60, 180),
    "purple": (110, 40, 150),
    "pink": (245, 150, 190),
    "brown": (110, 65, 30),
}


@pytest.mark.parametrize("name", COLOURS)
def test_a_painted_thing_has_its_colour(keep: Any, name: str) -> None:
    rgb = np.full((1, 3, 224, 224), 0.5, np.float32)
    rgb[0, :, 40:150, 60:110] = np.array(PAINTS[name], np.float32)[:, None, None] / 255
    row = things(keep, [(41, 0.9, (60 / 224, 40 / 224, 110 / 224, 150 / 224))], rgb=rgb)[0]
    assert COLOURS[int(row[6])] == name
    assert row[7] > 0.95


def test_none_dominates_where_many_colours_are(keep: Any) -> None:
    rgb = np.zeros((1, 3, 224, 224), np.float32)
    for number, paint in enumerate((PAINTS["red"], PAINTS["green"], PAINTS["blue"], PAINTS["yellow"])):
        rgb[0, :, number * 56 : (number + 1) * 56] = np.array(paint, np.float32)[:, None, None] / 255
    row = things(keep, [(41, 0.9, (0, 0, 1, 1))], rgb=rgb)[0]
    assert row[6:].tolist() == [-1, 0]
    narrow = things(keep, [(41, 0.9, (0, 0, 1, 0.24))], rgb=rgb)[0]
    assert COLOURS[int(narrow[6])] == "red"


@pytest.mark.parametrize(("height", "width"), [(96, 96), (32, 160), (128, 64)])
def test_patches_make_the_picture_again(height: int, width: int) -> None:
    """What the service cuts, normalises and hands over is the picture again."""
    normal = Normalisation()
    pixels = Pixels(rescale=1 / 255, mean=normal.mean, std=normal.std)
    settings = ImageSettings(16, 2, 2, 1024, 1 << 20, 3, pixels)
    image = np.random.default_rng(7).integers(0, 256, (height, width, 3), np.uint8)
    sketch = Sketch()
    sketch.call(normal.undone(sketch, add_whole(sketch, Patches(16))), "rgb")
    whole = session(
        sketch.model(
            "whole",
            {"pixel_values": ("patches", 3 * 2 * 16 * 16), "grid_thw": (1, 3)},
            {"rgb": (1, 3, "height", "width")},
            grid_thw=onnx.TensorProto.INT64,
        )
    )
    feeds = {
        "pixel_values": Patcher(settings, np.dtype(np.float32))(image),
        "grid_thw": np.array([settings.grid(image)]),
    }
    made = whole.run(None, feeds)[0]
    assert np.abs(made[0].transpose(1, 2, 0) * 255 - image).max() < 1e-3


def tiny(factor: float, prefix: str) -> onnx.ModelProto:
    """Stands for an eye: `things` are `pixels` times a factor, and features things plus one, once a token."""
    sketch = Sketch(prefix)
    sketch.call(sketch.op("Mul", "pixels", factor), THINGS)
    plus = sketch.op("Add", THINGS, 1.0)
    sketch.call(sketch.op("Tile", plus, sketch.op("Concat", "tokens", [1], axis=0)), "features")
    return sketch.model("tiny", {"pixels": (1, 4), "tokens": (1,)}, {"features": ("all", 4)}, tokens=7)


@pytest.mark.parametrize("prefix", ["eye.", "another."])
def test_an_eye_is_replaced_before_an_encoder_that_stays(prefix: str) -> None:
    made = joined(tiny(10.0, "eye."), tiny(2.0, prefix))
    pixels = np.array([[1, 2, 3, 4]], np.float32)
    features = session(made).run(None, {"pixels": pixels, "tokens": np.array([3])})[0]
    assert (features == np.repeat(pixels * 10 + 1, 3, axis=0)).all()
    assert sum(node.op_type == "Mul" for node in made.graph.node) == 1


def test_what_has_no_eye_is_refused() -> None:
    sketch = Sketch()
    sketch.call(sketch.op("Mul", "pixels", 2.0), "features")
    other = sketch.model("other", {"pixels": (1, 4)}, {"features": (1, 4)})
    with pytest.raises(ValueError, match="expected an eye"):
        joined(tiny(10.0, "eye."), other)
