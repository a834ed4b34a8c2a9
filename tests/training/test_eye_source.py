"""The eye's detector computes what its source does, read and run by other software."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from tests.training.eye_pictures import DATA, EVERY, PICTURE, normalised
from training.eye.nanodet import OUTPUTS, SIDE, named
from training.eye.nanodet import PICTURE as INPUT
from training.eye.package import ARCHIVE, PackageError, detector_files
from training.eye.sketch import Sketch
from training.eye.tfjs import TfjsGraph, read_tfjs
from training.eye.to_onnx import add_detector
from training.eye.views import LARGE, SMALL

ROOT = Path(__file__).parent.parent.parent
MODELS = [
    ROOT / name / "everyday_model/onnx/vision_encoder.onnx" for name in ("hailo_florence", "hailo_vision")
]


def run(model: onnx.ModelProto, feeds: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    made: list[NDArray[Any]] = session.run(None, feeds)
    return made


@pytest.mark.parametrize("side", [LARGE, SMALL])
@pytest.mark.parametrize("path", [path for path in MODELS if path.exists()], ids=lambda path: path.parts[-4])
def test_the_committed_models_see_what_tensorflow_sees(path: Path, side: int) -> None:
    """Each of an eye's two detectors, cut out and shown the picture at the side that the source knows."""
    whole = onnx.load(path)
    outputs = [named(output, side) for output in sorted(OUTPUTS)]
    detector = cut(whole, named(INPUT, side), outputs)
    made = np.concatenate([part.ravel() for part in run(detector, {INPUT: normalised(PICTURE)})])
    reference = np.load(DATA / "reference.npy")
    assert reference.max() > 2
    assert np.abs(made[::EVERY] - reference).max() < 1e-3


def cut(whole: onnx.ModelProto, start: str, ends: list[str]) -> onnx.ModelProto:
    """What lies between the tensor `start`, which becomes the input `picture`, and the tensors `ends`."""
    makers = {output: node for node in whole.graph.node for output in node.output}
    needed: dict[str, onnx.NodeProto] = {}
    waiting = list(ends)
    while waiting:
        node = makers.get(waiting.pop())
        if node is not None and start not in node.output and node.output[0] not in needed:
            needed[node.output[0]] = node
            waiting += node.input
    nodes = [node for node in whole.graph.node if node.output[0] in needed]
    for node in nodes:
        node.input[:] = [INPUT if name == start else name for name in node.input]
    used = {name for node in nodes for name in node.input}
    graph = onnx.helper.make_graph(
        nodes,
        "detector",
        [onnx.helper.make_tensor_value_info(INPUT, onnx.TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [onnx.helper.make_tensor_value_info(end, onnx.TensorProto.FLOAT, [1, None, None]) for end in ends],
        [item for item in whole.graph.initializer if item.name in used],
    )
    return onnx.helper.make_model(graph, opset_imports=whole.opset_import, ir_version=whole.ir_version)


def topology(nodes: list[dict[str, Any]], weights: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "modelTopology": {"node": nodes},
        "weightsManifest": [{"paths": ["small.bin"], "weights": weights}],
        "signature": {"outputs": {"out:0": {}}},
    }


def node(op: str, name: str, *inputs: str, **attributes: Any) -> dict[str, Any]:
    return {"op": op, "name": name, "input": list(inputs), "attr": attributes}


def ints(*values: int) -> dict[str, Any]:
    return {"list": {"i": [str(value) for value in values]}}


VALID, NHWC = {"s": "VkFMSUQ="}, {"s": "TkhXQw=="}
WEIGHTS: list[tuple[str, NDArray[Any], str]] = [
    ("pads", np.array([[0, 0], [0, 0], [1, 0], [2, 1]], "<i4"), "int32"),
    ("last", np.array([0, 2, 3, 1], "<i4"), "int32"),
    ("first", np.array([0, 3, 1, 2], "<i4"), "int32"),
    ("kernel", (np.arange(2 * 3 * 3 * 2).reshape(2, 3, 3, 2) % 7 - 3).astype("<f2"), "float16"),
    ("bias", np.array([0.5, -1.5], "<f2"), "float16"),
]


def small_graph(folder: Path) -> Path:
    """Padding, convolution with bias and activation between two transpositions."""
    (folder / "small.bin").write_bytes(b"".join(array.tobytes() for _, array, _ in WEIGHTS))
    weights = [
        {"name": name, "shape": array.shape, "dtype": "float32" if kind == "float16" else kind}
        | ({"quantization": {"dtype": "float16"}} if kind == "float16" else {})
        for name, array, kind in WEIGHTS
    ]
    sizes = {"strides": ints(1, 2, 1, 1), "dilations": ints(1, 1, 1, 1)}
    nodes = [
        node("Placeholder", "in", shape={"shape": {"dim": [{"size": str(size)} for size in (1, 3, 8, 8)]}}),
        node("Pad", "padded", "in", "pads"),
        node("Transpose", "turned", "padded", "last"),
        node("Conv2D", "conv", "turned", "kernel", padding=VALID, data_format=NHWC, **sizes),
        node("Add", "biased", "conv", "bias"),
        node("Transpose", "back", "biased", "first"),
        node("LeakyRelu", "leaky", "back", alpha={"f": 0.1}),
        node("Identity", "out", "leaky"),
    ]
    path = folder / "small.json"
    path.write_text(json.dumps(topology(nodes, weights)))
    return path


def by_hand(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same as `small_graph`, in loops."""
    kernel, bias = WEIGHTS[3][1].astype(np.float32), WEIGHTS[4][1].astype(np.float32)
    padded = np.pad(picture[0], WEIGHTS[0][1][1:])
    rows, columns = (padded.shape[1] - 2) // 2 + 1, padded.shape[2] - 2
    made = np.empty((1, 2, rows, columns), np.float32)
    for row in range(rows):
        for column in range(columns):
            part = padded[:, 2 * row : 2 * row + 2, column : column + 3]
            made[0, :, row, column] = np.einsum("cyx,yxco->o", part, kernel) + bias
    return np.where(made > 0, made, 0.1 * made)


def alone(source: TfjsGraph, side: int) -> onnx.ModelProto:
    """The graph by itself: `picture` [1, 3, side, side] to the source's outputs by their own names."""
    sketch = Sketch()
    for output, name in add_detector(source, sketch, "picture").items():
        sketch.call(name, output)
    shapes = dict.fromkeys(source.outputs, (1, None, None))
    return sketch.model("detector", {"picture": (1, 3, side, side)}, shapes)


def test_a_small_graph_is_computed_as_written(tmp_path: Path) -> None:
    model = alone(read_tfjs(small_graph(tmp_path)), 8)
    picture = np.random.default_rng(4).normal(size=(1, 3, 8, 8)).astype(np.float32)
    made = run(model, {"picture": picture})[0]
    assert np.abs(made - by_hand(picture)).max() < 1e-4
    assert [item.op_type for item in model.graph.node].count("Transpose") == 0


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = small_graph(tmp_path)
    content = (tmp_path / "small.bin").read_bytes()
    for wrong in (content[:-1], content + b"\0\0"):
        (tmp_path / "small.bin").write_bytes(wrong)
        with pytest.raises(ValueError, match=r"bytes of weights"):
            read_tfjs(path)


def test_another_package_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / ARCHIVE).write_bytes(b"another")
    with pytest.raises(PackageError, match="expected the sha256"):
        detector_files(tmp_path)
