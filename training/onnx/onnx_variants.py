"""Smaller forms of exported graphs: half precision, and dynamically quantised matrices."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16


def _half(tensor: onnx.TensorProto) -> None:
    if tensor.data_type == FLOAT:
        array = numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def _convert_node(node: onnx.NodeProto) -> None:
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.TENSOR:
            _half(attribute.t)
        if node.op_type == "Cast" and attribute.name == "to" and attribute.i == FLOAT:
            attribute.i = HALF


def _angles(graph: onnx.GraphProto) -> set[str]:
    """Names of all values that sines and cosines are taken of: half precision is too coarse for positions."""
    makers = {name: node for node in graph.node for name in node.output if node.op_type != "Shape"}
    found: set[str] = set()
    waiting = [name for node in graph.node if node.op_type in ("Sin", "Cos") for name in node.input]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += makers[name].input if name in makers else []
    return found


def _halve_angles(graph: onnx.GraphProto) -> None:
    """Cast what sines and cosines give, as they themselves stay in float32."""
    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        made = node.output[0]
        if node.op_type in ("Sin", "Cos"):
            node.output[0] = f"{made}/float"
        graph.node.append(node)
        if node.op_type in ("Sin", "Cos"):
            graph.node.append(helper.make_node("Cast", [f"{made}/float"], [made], to=HALF))


def _outside(graph: onnx.GraphProto, kept: set[str]) -> None:
    """Leave the graph's inputs and outputs in float32, with a cast next to each but for those `kept`."""
    before, after, renamed = [], [], {}
    for item in graph.input:
        if item.name in kept:
            continue
        if item.type.tensor_type.elem_type == FLOAT:
            renamed[item.name] = f"{item.name}/half"
            before.append(helper.make_node("Cast", [item.name], [renamed[item.name]], to=HALF))
    for item in graph.output:
        if item.type.tensor_type.elem_type == FLOAT:
            renamed[item.name] = f"{item.name}/half"
            after.append(helper.make_node("Cast", [renamed[item.name]], [item.name], to=FLOAT))
    nodes = list(graph.node)
    for node in nodes:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                names[index] = renamed.get(name, name)
    del graph.node[:]
    graph.node.extend([*before, *nodes, *after])


def as_float16(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy that computes in float16 and takes and gives float32."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    kept = _angles(copy.graph)
    for item in copy.graph.initializer:
        if item.name not in kept:
            _half(item)
    for node in copy.graph.node:
        if not kept.intersection(node.output):
            _convert_node(node)
    del copy.graph.value_info[:]
    _halve_angles(copy.graph)
    _outside(copy.graph, kept)
    return copy


def as_int8(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with 8-bit matrices and embeddings; convolutions stay, in integers they are slower."""
    level = logging.root.level
    with tempfile.TemporaryDirectory() as folder:
        plain, small = Path(folder) / "plain.onnx", Path(folder) / "small.onnx"
        onnx.save(model, str(plain))
        logging.root.setLevel(logging.ERROR)
        quantize_dynamic(plain, small, op_types_to_quantize=["MatMul", "Gather"], weight_type=QuantType.QInt8)
        logging.root.setLevel(level)
        return onnx.load(str(small))
