"""8-bit matrices for an ONNX graph: what is multiplied by a fixed matrix is multiplied in integers.

Only MatMul nodes with a fixed matrix change; convolutions stay, in integers they are slower. Weights become
signed with one scale for each column, activations unsigned with one scale found while it runs. ONNX Runtime
fuses the nodes written here into its own 8-bit kernels. The only module that imports `onnx`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from hailo_common.errors import ModelError

Progress = Callable[[float], None]
_OPSET = 11
"""The first that has DynamicQuantizeLinear and MatMulInteger."""
_LEAST = 16
"""Rows and columns below which a matrix is not worth it."""
_BLOCK = 32


def quantise(source: Path, bits: int, progress: Progress = lambda _: None) -> bytes:
    """The ONNX file `source` with signed `bits`-bit matrices (8, or 7 where sums of two products must fit
    into 16 bits).

    Takes two and a half times the file's size of memory. Raises ModelError when it is no ONNX file in one
    piece, or has no matrix that can be changed.
    """
    model = _read(source)
    fixed = {item.name: item for item in model.graph.initializer}
    wanted = [node for node in model.graph.node if _is_wanted(node, fixed)]
    if not wanted or _opset(model) < _OPSET:
        raise ModelError(f"{source}: expected matrices of float32 in ONNX operators of version {_OPSET} on")
    made: dict[str, list[onnx.NodeProto]] = {}
    quantised: set[str] = set()
    for done, node in enumerate(wanted):
        if node.input[1] not in quantised:
            model.graph.initializer.extend(_store(fixed[node.input[1]], bits))
            quantised.add(node.input[1])
        made[node.output[0]] = list(_nodes(node))
        progress((done + 1) / len(wanted))
    _replace(model.graph, made)
    _drop_unused(model.graph, quantised)
    content: bytes = model.SerializeToString()
    return content


def _read(source: Path) -> Any:
    try:
        model = onnx.load(source, load_external_data=False)
    except Exception as error:  # protobuf's own class differs from version to version
        raise ModelError(f"{source}: expected an ONNX file") from error
    if any(item.data_location == TensorProto.EXTERNAL for item in model.graph.initializer):
        raise ModelError(f"{source}: expected its weights in the file itself")
    return model


def _opset(model: Any) -> int:
    return max((item.version for item in model.opset_import if item.domain in ("", "ai.onnx")), default=0)


def _is_wanted(node: Any, fixed: dict[str, Any]) -> bool:
    """True for a MatMul by a fixed matrix of a size that is worth it.

    ONNX Runtime 1.21 multiplies matrices wrongly that have 17 to 31 columns beyond a multiple of 32, on
    processors with AMX; those stay.
    """
    if node.op_type != "MatMul" or node.domain not in ("", "ai.onnx") or node.input[1] not in fixed:
        return False
    matrix = fixed[node.input[1]]
    if matrix.data_type != TensorProto.FLOAT or len(matrix.dims) != 2:
        return False
    rows, columns = matrix.dims
    return bool(min(rows, columns) >= _LEAST and columns % _BLOCK <= _BLOCK // 2)


def _store(matrix: Any, bits: int) -> Iterator[Any]:
    weights = numpy_helper.to_array(matrix)
    whole, scale = columns_as_int8(weights, bits)
    yield numpy_helper.from_array(whole, f"{matrix.name}/int8")
    yield numpy_helper.from_array(scale, f"{matrix.name}/scale")


def columns_as_int8(weights: NDArray[np.float32], bits: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """(rows, columns) as signed integers of `bits` bits, and a scale for each column.

    Their product is off by half a scale at most. Raises ModelError for weights that are not finite.
    """
    largest = np.abs(weights).max(axis=0)
    if not np.isfinite(largest).all():
        raise ModelError("expected finite weights")
    # Below this a scale has no inverse in float32; such a column is nothing.
    scale = np.where(largest > 1e-30, largest / (2 ** (bits - 1) - 1), 1).astype(np.float32)
    return np.rint(weights / scale).astype(np.int8), scale


def _nodes(node: Any) -> Iterator[Any]:
    """What stands in for a MatMul: quantise, multiply, back to float32."""
    given, matrix, output = node.input[0], node.input[1], node.output[0]
    names = [f"{output}/{part}" for part in ("given", "scale", "zero", "sums", "floats", "scales")]
    whole, scale, zero, sums, floats, scales = names
    yield helper.make_node("DynamicQuantizeLinear", [given], [whole, scale, zero])
    yield helper.make_node("MatMulInteger", [whole, f"{matrix}/int8", zero], [sums])
    yield helper.make_node("Cast", [sums], [floats], to=TensorProto.FLOAT)
    yield helper.make_node("Mul", [scale, f"{matrix}/scale"], [scales])
    yield helper.make_node("Mul", [floats, scales], [output])


def _replace(graph: Any, made: dict[str, list[Any]]) -> None:
    nodes = [node for old in graph.node for node in made.get(old.output[0] if old.output else "", [old])]
    del graph.node[:]
    graph.node.extend(nodes)


def _drop_unused(graph: Any, names: set[str]) -> None:
    """Remove the float matrices that nothing refers to any more."""
    used = {name for node in graph.node for name in node.input}
    for index in reversed(range(len(graph.initializer))):
        if graph.initializer[index].name in names - used:
            del graph.initializer[index]
