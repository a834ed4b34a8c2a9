"""A graph of ONNX while it is written down, node by node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

OPSET = 17
IR_VERSION = 8
"""What ONNX Runtime 1.21 and older read."""

Operand = str | int | float | Sequence[int] | Sequence[float] | NDArray[Any]
"""The name of a tensor, or numbers that become a constant: ints int64, floats float32."""


class Sketch:
    """Nodes and weights so far; every name begins with `prefix`, so that sketches can be put together."""

    def __init__(self, prefix: str = "") -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._prefix = prefix
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._count = 0

    def several(self, op: str, *inputs: Operand, count: int, **attributes: Any) -> list[str]:
        """Add a node; returns the names of its `count` outputs."""
        names = [item if isinstance(item, str) else self.constant(item) for item in inputs]
        self._count += 1
        outputs = [f"{self._prefix}{op.lower()}_{self._count}_{index}" for index in range(count)]
        self.nodes.append(helper.make_node(op, names, outputs, **attributes))
        return outputs

    def op(self, op: str, *inputs: Operand, **attributes: Any) -> str:
        """Add a node with one output; returns its name."""
        return self.several(op, *inputs, count=1, **attributes)[0]

    def constant(self, values: Operand) -> str:
        """Store numbers, the same ones once; floats come out as float32, also where they lie as float16."""
        array = np.asarray(values)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        array = np.ascontiguousarray(array).reshape(array.shape)
        key = str(array.dtype), array.shape, array.tobytes()
        if key not in self._known:
            name = f"{self._prefix}weight_{len(self.weights)}"
            self.weights.append(numpy_helper.from_array(array, name))
            self._known[key] = self._as_float(name) if array.dtype == np.float16 else name
        return self._known[key]

    def _as_float(self, name: str) -> str:
        return self.op("Cast", name, to=onnx.TensorProto.FLOAT)

    def call(self, name: str, output: str) -> None:
        """Give the tensor `name` the name `output` too."""
        self.nodes.append(helper.make_node("Identity", [name], [output]))

    def add(self, part: onnx.GraphProto) -> None:
        """Take over the nodes and weights of a whole graph, whose inputs are tensors of this one."""
        self.nodes.extend(part.node)
        self.weights.extend(part.initializer)

    def model(
        self,
        name: str,
        inputs: Mapping[str, Sequence[Any]],
        outputs: Mapping[str, Sequence[Any]],
        **types: int,
    ) -> onnx.ModelProto:
        """The checked model; shapes by name, of float32 unless `types` says another."""

        def declared(shapes: Mapping[str, Sequence[Any]]) -> list[onnx.ValueInfoProto]:
            return [
                helper.make_tensor_value_info(key, types.get(key, onnx.TensorProto.FLOAT), list(shape))
                for key, shape in shapes.items()
            ]

        graph = helper.make_graph(self.nodes, name, declared(inputs), declared(outputs), self.weights)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        onnx.checker.check_model(made)
        return made
