"""The eye as the vision encoders that the two services load, each in one ONNX file.

`encoder` is what makes features of things: a graph with the input `things` [1, 24, 8] and the output
`image_features` [1, T, D]. Without one the features are the things as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from training.eye.nanodet import SIDE
from training.eye.package import CACHE, detector_files
from training.eye.sketch import Sketch
from training.eye.tfjs import TfjsGraph, read_tfjs
from training.eye.things import ROWS, THRESHOLD, WIDTH, add_things
from training.eye.views import add_views

THINGS, FEATURES = "things", "image_features"


@dataclass(frozen=True)
class Normalisation:
    """What `preprocessor_config.json` says of red, green and blue: `(x / 255 - mean) / std`."""

    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def undone(self, sketch: Sketch, pixels: str) -> str:
        """The picture in 0..1 again."""
        std, mean = (np.array(values, np.float32).reshape(3, 1, 1) for values in (self.std, self.mean))
        return sketch.op("Add", sketch.op("Mul", pixels, std), mean)


@dataclass(frozen=True)
class Patches:
    """How a Qwen2-VL's pictures are cut: side of a patch in pixels, frames in it, patches merged each way."""

    patch: int
    temporal: int = 2
    merge: int = 2


def load_source(cache: Path = CACHE) -> TfjsGraph:
    """The detector's own graph, fetched if it is not there. Raises PackageError."""
    return read_tfjs(detector_files(cache) / "nanodet.json")


def florence_eye(
    encoder: onnx.ModelProto | None = None,
    source: TfjsGraph | None = None,
    *,
    normalisation: Normalisation = Normalisation(),
    threshold: float = THRESHOLD,
) -> onnx.ModelProto:
    """`pixel_values` [1, 3, 416, 416] to `image_features` [1, T, D]."""
    sketch = Sketch("eye.")
    rgb = normalisation.undone(sketch, "pixel_values")
    _see(sketch, source or load_source(), rgb, threshold)
    features, shape = _encode(sketch, encoder)
    sketch.call(features, FEATURES)
    return sketch.model("vision_encoder", {"pixel_values": (1, 3, SIDE, SIDE)}, {FEATURES: (1, *shape)})


def qwen_eye(
    encoder: onnx.ModelProto | None = None,
    source: TfjsGraph | None = None,
    *,
    patches: Patches = Patches(26),
    normalisation: Normalisation = Normalisation(),
    threshold: float = THRESHOLD,
    rest: Sequence[float] | None = None,
) -> onnx.ModelProto:
    """`pixel_values` [patches, numbers of a patch] and `grid_thw` [1, 3] to `image_features` [tokens, D].

    One picture at a time, of which the first frame is seen. The first T tokens are the encoder's, the others
    are `rest`, zeros by default; a picture of fewer tokens than T loses the last ones.
    """
    sketch = Sketch("eye.")
    rgb = normalisation.undone(sketch, add_whole(sketch, patches))
    _see(sketch, source or load_source(), rgb, threshold)
    return qwen_model(sketch, encoder, patches, rest)


def qwen_model(
    sketch: Sketch, encoder: onnx.ModelProto | None, patches: Patches, rest: Sequence[float] | None
) -> onnx.ModelProto:
    """See `qwen_eye`: what comes behind `things`, and the whole."""
    features, (_, width) = _encode(sketch, encoder)
    row = np.zeros(width, np.float32) if rest is None else np.array(rest, np.float32)
    tokens = sketch.op("Div", sketch.op("ReduceProd", "grid_thw", axes=[0, 1], keepdims=0), patches.merge**2)
    count = sketch.op("Reshape", tokens, [1])
    filling = sketch.op("Expand", row[None], sketch.op("Concat", count, [1], axis=0))
    all_rows = sketch.op("Concat", sketch.op("Squeeze", features, [0]), filling, axis=0)
    sketch.call(sketch.op("Slice", all_rows, [0], count, [0]), FEATURES)
    numbers = 3 * patches.temporal * patches.patch**2
    return sketch.model(
        "vision_encoder",
        {"pixel_values": ("patches", numbers), "grid_thw": (1, 3)},
        {FEATURES: ("tokens", width)},
        grid_thw=onnx.TensorProto.INT64,
    )


def add_whole(sketch: Sketch, patches: Patches) -> str:
    """The first frame [1, 3, height, width] put together from its patches."""
    merge, side = patches.merge, patches.patch
    rows, columns = (sketch.op("Slice", "grid_thw", [axis], [axis + 1], [1]) for axis in (1, 2))
    rows, columns = (sketch.op("Reshape", name, [1]) for name in (rows, columns))
    down, across = (sketch.op("Div", name, [merge]) for name in (rows, columns))
    frame = sketch.op("Slice", "pixel_values", [0], sketch.op("Mul", rows, columns), [0])
    split = sketch.op("Concat", down, across, [merge, merge, 3, patches.temporal, side, side], axis=0)
    still = sketch.op("Gather", sketch.op("Reshape", frame, split), 0, axis=5)
    # (row and column of blocks, row and column in the block, channel, y, x)
    ordered = sketch.op("Transpose", still, perm=[4, 0, 2, 5, 1, 3, 6])
    height, width = (sketch.op("Mul", name, [side]) for name in (rows, columns))
    return sketch.op("Reshape", ordered, sketch.op("Concat", [1, 3], height, width, axis=0))


def _see(sketch: Sketch, source: TfjsGraph, rgb: str, threshold: float) -> None:
    rows, small = add_views(source, sketch, rgb)
    sketch.call(add_things(sketch, rows, small, threshold), THINGS)


def _encode(sketch: Sketch, encoder: onnx.ModelProto | None) -> tuple[str, tuple[int, int]]:
    """The tensor of the features [1, T, D], and (T, D)."""
    if encoder is None:
        return THINGS, (ROWS, WIDTH)
    inner = onnx.compose.add_prefix(encoder, "encoder.", rename_inputs=False).graph
    if [item.name for item in inner.input] != [THINGS]:
        raise ValueError(f"expected an encoder whose only input is {THINGS!r}")
    sketch.add(inner)
    output = inner.output[0]
    shape = tuple(item.dim_value for item in output.type.tensor_type.shape.dim)
    if len(shape) != 3 or not all(shape[1:]):
        raise ValueError("expected an encoder whose output has a fixed shape [1, T, D]")
    return output.name, (shape[1], shape[2])
