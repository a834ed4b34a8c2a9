"""Smaller forms of exported graphs: half precision, dynamically quantised matrices, blocks of four bits."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16
_BLOCK = 32
_MICROSOFT = "com.microsoft"


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


def as_q4(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose matrices are blocks of 32 four-bit numbers with one scale, as in published `_q4` files."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    weights = {item.name: item for item in copy.graph.initializer}
    for node in copy.graph.node:
        weight = weights.get(node.input[1]) if node.op_type == "MatMul" else None
        if weight is not None and len(weight.dims) == 2 and weight.dims[0] % _BLOCK == 0:
            copy.graph.initializer.extend(_in_blocks(node, weight))
    used = {name for node in copy.graph.node for name in node.input}
    kept = [item for item in copy.graph.initializer if item.name in used]
    del copy.graph.initializer[:]
    copy.graph.initializer.extend(kept)
    copy.opset_import.append(helper.make_opsetid(_MICROSOFT, 1))
    return copy


def _in_blocks(node: onnx.NodeProto, weight: onnx.TensorProto) -> list[onnx.TensorProto]:
    """Make the node a MatMulNBits; the packed weight and its scales, under names of the node's own.

    Source: ONNX Runtime, docs/ContribOperators.md, MatMulNBits: without zero points a number n means n - 8.
    """
    depth, width = weight.dims
    blocks = numpy_helper.to_array(weight).T.reshape(width, depth // _BLOCK, _BLOCK)
    scales = np.maximum(np.abs(blocks).max(axis=2), 1e-8) / 7
    numbers = (np.rint(blocks / scales[:, :, None]) + 8).astype(np.uint8)
    packed = numbers[:, :, ::2] | numbers[:, :, 1::2] << 4
    names = [f"{node.output[0]}/packed", f"{node.output[0]}/scales"]
    node.op_type, node.domain = "MatMulNBits", _MICROSOFT
    node.input[1:] = names
    for name, value in (("K", depth), ("N", width), ("bits", 4), ("block_size", _BLOCK)):
        node.attribute.append(helper.make_attribute(name, value))
    made = (packed, scales.astype(np.float32).reshape(-1))
    return [numpy_helper.from_array(array, name) for array, name in zip(made, names, strict=True)]
