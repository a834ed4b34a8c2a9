"""A graph of TensorFlow.js as ONNX: the same operations, without their changes of layout.

TensorFlow wants channels last, and the detector was once exported from channels first: every convolution
stands between two transpositions. Here a transposition is only noted down, with the value it belongs to, and
carried out where something depends on it; paddings go into the convolution that follows, added constants
into the one before. Weights stay in float16, as the source has them, each with a Cast that ONNX Runtime
carries out once, when it loads the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.eye.sketch import Sketch
from training.eye.tfjs import Node, TfjsGraph

_LAST = (0, 2, 3, 1)
"""From channels first to channels last."""


@dataclass(frozen=True)
class Value:
    """A tensor of the source: the ONNX tensor `name`, whose axes it has in the order `axes`.

    `size` is (rows, columns) for a picture as large as the source's; `pads` are paddings not carried out yet,
    (before, after) for each axis of the ONNX tensor.
    """

    name: str
    size: tuple[int, int]
    axes: tuple[int, ...] = (0, 1, 2, 3)
    pads: tuple[tuple[int, int], ...] = ()
    fill: float = 0.0


class Conversion:
    """One conversion into `sketch`."""

    def __init__(self, source: TfjsGraph, sketch: Sketch) -> None:
        self._sketch = sketch
        self._constants: dict[str, NDArray[Any]] = dict(source.weights)
        self._values: dict[str, Value] = {}
        self._uses = Counter(name for node in source.nodes for name in node.inputs)

    def convert(self, source: TfjsGraph, picture: str) -> list[str]:
        """Convert every node; `picture` names the input. Returns the names of the outputs."""
        for node in source.nodes:
            if node.op == "Placeholder":
                rows, columns = node.shape()[2:]
                self._values[node.name] = Value(picture, (rows, columns))
            elif node.op != "Const":
                self._convert(node)
        return [self._plain(self._values[name.partition(":")[0]]) for name in source.outputs]

    def _convert(self, node: Node) -> None:
        if all(name in self._constants for name in node.inputs):
            self._constants[node.name] = _fold(node, [self._constants[name] for name in node.inputs])
            return
        if node.op not in _OPERATIONS:
            raise ValueError(f"{node.name}: the operation {node.op} is not known")
        for number, value in enumerate(_OPERATIONS[node.op](self, node)):
            self._values[f"{node.name}:{number}" if number else node.name] = value

    def _padded(self, value: Value) -> str:
        """The ONNX tensor with its paddings carried out."""
        if not value.pads:
            return value.name
        before, after = zip(*value.pads, strict=True)
        return self._sketch.op("Pad", value.name, before + after, float(value.fill))

    def _plain(self, value: Value) -> str:
        """The ONNX tensor with the source's own axes."""
        name = self._padded(value)
        if value.axes == tuple(sorted(value.axes)):
            return name
        return self._sketch.op("Transpose", name, perm=value.axes)

    def _first(self, value: Value) -> Value:
        """The same with channels first behind it, as convolutions of ONNX want it."""
        if value.axes == _LAST:
            return value
        order = [_LAST.index(axis) for axis in range(4)]
        return Value(self._sketch.op("Transpose", self._plain(value), perm=order), value.size, _LAST)

    def pad(self, node: Node) -> list[Value]:
        """Pad and PadV2: noted down."""
        value, amounts = self._values[node.inputs[0]], self._constants[node.inputs[1]]
        fill = float(self._constants[node.inputs[2]]) if len(node.inputs) > 2 else 0.0
        if value.pads:
            value = replace(value, name=self._padded(value), pads=())
        rows = [amounts[value.axes.index(axis)] for axis in range(len(value.axes))]
        pads = [(int(before), int(after)) for before, after in rows]
        return [replace(value, pads=tuple(pads), fill=fill)]

    def transpose(self, node: Node) -> list[Value]:
        """Transpose: noted down."""
        value, order = self._values[node.inputs[0]], self._constants[node.inputs[1]]
        return [replace(value, axes=tuple(value.axes[int(axis)] for axis in order))]

    def convolve(self, node: Node) -> list[Value]:
        """Conv2D without padding of its own."""
        value = self._first(self._values[node.inputs[0]])
        pads = self._edges(value, 0.0)
        kernel = self._constants[node.inputs[1]].transpose(3, 2, 0, 1)
        _expect(node, node.text("padding") == "VALID" and node.text("data_format") == "NHWC")
        strides = node.integers("strides")[1:3]
        _expect(node, node.integers("dilations") == [1, 1, 1, 1])
        made = self._sketch.op(
            "Conv", value.name, kernel, kernel_shape=kernel.shape[2:], strides=strides, pads=pads
        )
        return [Value(made, _slid(value.size, kernel.shape[2:], strides, pads), _LAST)]

    def pool(self, node: Node) -> list[Value]:
        """MaxPool, whose padding must be one that never is the largest."""
        value = self._first(self._values[node.inputs[0]])
        _expect(node, node.text("padding") == "VALID" and (not value.pads or value.fill < -60_000))
        kernel, strides = node.integers("ksize")[1:3], node.integers("strides")[1:3]
        pads = self._edges(value, value.fill)
        made = self._sketch.op("MaxPool", value.name, kernel_shape=kernel, strides=strides, pads=pads)
        return [Value(made, _slid(value.size, kernel, strides, pads), _LAST)]

    def _edges(self, value: Value, fill: float) -> list[int]:
        """Paddings of rows and columns as an attribute: top, left, bottom, right."""
        if not value.pads:
            return [0, 0, 0, 0]
        if value.fill != fill or any(sum(pad) for pad in value.pads[:2]):
            raise ValueError(f"{value.name}: expected padding of rows and columns only, by {fill}")
        (top, bottom), (left, right) = value.pads[2:]
        return [top, left, bottom, right]

    def resize(self, node: Node) -> list[Value]:
        """ResizeBilinear between the middles of pixels."""
        _expect(node, node.flag("half_pixel_centers") and not node.flag("align_corners"))
        value = self._first(self._values[node.inputs[0]])
        rows, columns = (int(size) for size in self._constants[node.inputs[1]])
        # By ratio and not to a size, so that the graph takes pictures of other sizes too.
        ratios = [1.0, 1.0, rows / value.size[0], columns / value.size[1]]
        mode = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
        return [
            Value(self._sketch.op("Resize", self._padded(value), "", ratios, **mode), (rows, columns), _LAST)
        ]

    def add(self, node: Node) -> list[Value]:
        """Add of two values, or of a constant to a convolution."""
        first, second = node.inputs
        if second in self._constants:
            return [self._biased(node, self._values[first], self._constants[second])]
        values = [self._values[first], self._values[second]]
        if values[0].axes == values[1].axes:
            return [replace(values[0], name=self._sketch.op("Add", *map(self._padded, values)), pads=())]
        return [Value(self._sketch.op("Add", *map(self._plain, values)), values[0].size)]

    def _biased(self, node: Node, value: Value, bias: NDArray[Any]) -> Value:
        """The convolution that was just written, with a constant for each channel."""
        maker = next(made for made in reversed(self._sketch.nodes) if value.name in made.output)
        fits = maker.op_type == "Conv" and len(maker.input) == 2 and value.axes == _LAST
        _expect(node, fits and bias.ndim == 1 and self._uses[node.inputs[0]] == 1)
        self._sketch.nodes.remove(maker)
        maker.input.append(self._sketch.constant(bias))
        self._sketch.nodes.append(maker)
        return value

    def leaky(self, node: Node) -> list[Value]:
        """LeakyRelu."""
        value = self._values[node.inputs[0]]
        alpha = float(node.attributes["alpha"]["f"])
        made = self._sketch.op("LeakyRelu", self._padded(value), alpha=alpha)
        return [replace(value, name=made, pads=())]

    def sigmoid(self, node: Node) -> list[Value]:
        """Sigmoid."""
        value = self._values[node.inputs[0]]
        return [replace(value, name=self._sketch.op("Sigmoid", self._padded(value)), pads=())]

    def concat(self, node: Node) -> list[Value]:
        """ConcatV2 along an axis of the source."""
        values = [self._values[name] for name in node.inputs[:-1]]
        axes = values[0].axes
        _expect(node, all(value.axes == axes for value in values))
        axis = axes[int(self._constants[node.inputs[-1]])]
        made = self._sketch.op("Concat", *map(self._padded, values), axis=axis)
        return [replace(values[0], name=made, pads=())]

    def split(self, node: Node) -> list[Value]:
        """SplitV along an axis of the source."""
        value, sizes = self._values[node.inputs[0]], self._constants[node.inputs[1]].astype(np.int64)
        axis = value.axes[int(self._constants[node.inputs[2]])]
        made = self._sketch.several("Split", self._padded(value), sizes, count=len(sizes), axis=axis)
        return [replace(value, name=name, pads=()) for name in made]

    def reshape(self, node: Node) -> list[Value]:
        """Reshape."""
        shape = self._constants[node.inputs[1]].astype(np.int64)
        made = self._sketch.op("Reshape", self._plain(self._values[node.inputs[0]]), shape)
        return [Value(made, (0, 0), tuple(range(len(shape))))]

    def same(self, node: Node) -> list[Value]:
        """Identity."""
        return [self._values[node.inputs[0]]]


_OPERATIONS: dict[str, Callable[[Conversion, Node], list[Value]]] = {
    "Add": Conversion.add,
    "ConcatV2": Conversion.concat,
    "Conv2D": Conversion.convolve,
    "Identity": Conversion.same,
    "LeakyRelu": Conversion.leaky,
    "MaxPool": Conversion.pool,
    "Pad": Conversion.pad,
    "PadV2": Conversion.pad,
    "Reshape": Conversion.reshape,
    "ResizeBilinear": Conversion.resize,
    "Sigmoid": Conversion.sigmoid,
    "SplitV": Conversion.split,
    "Transpose": Conversion.transpose,
}


def _fold(node: Node, inputs: list[NDArray[Any]]) -> NDArray[Any]:
    """What is computed of constants only: the shapes that the source puts together."""
    if node.op == "AddV2":
        return inputs[0] + inputs[1]
    _expect(node, node.op == "SparseToDense")
    indices, shape, values, default = inputs
    made = np.full([int(size) for size in shape], default)
    for index, value in zip(indices.reshape(-1, len(made.shape)), values, strict=True):
        made[tuple(index)] = value
    return made


def _slid(
    size: tuple[int, int], kernel: Sequence[int], strides: Sequence[int], pads: Sequence[int]
) -> tuple[int, int]:
    """(rows, columns) after a window has slid over them; `pads` are top, left, bottom, right."""
    rows, columns = (
        (size[axis] + pads[axis] + pads[axis + 2] - kernel[axis]) // strides[axis] + 1 for axis in (0, 1)
    )
    return rows, columns


def _expect(node: Node, holds: bool) -> None:
    if not holds:
        raise ValueError(f"{node.name}: this form of {node.op} is not known")


def add_detector(source: TfjsGraph, sketch: Sketch, picture: str) -> dict[str, str]:
    """Write the whole graph into `sketch`; `picture` is the tensor [1, 3, height, width] that it sees.

    Returns the tensor of each of the source's outputs.
    """
    names = Conversion(source, sketch).convert(source, picture)
    return dict(zip(source.outputs, names, strict=True))
