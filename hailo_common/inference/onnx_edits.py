"""Changes to a graph that save time or memory and leave its answers alone.

Each looks for a pattern and leaves alone what it does not recognise. `last_row_only` and `in_query_blocks`
compute the same, since the rows of these matrices do not depend on each other; the last bits of a sum may
differ, as with another number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hailo_common.inference.onnx_file import Node, OnnxFile, number_attribute
from hailo_common.inference.onnx_loop import QueryLoop

Edit = Callable[[OnnxFile], bool]
"""Changes a graph, and says whether the graph is now as it should be."""

_ACCURACY = "accuracy_level"
_INT8 = 4  # of MatMulNBits: 0 is unset, 1 to 4 are fp32, fp16, bf16, int8
_LOGITS = "logits"
_OLDEST_OPSET, _NEWEST_OPSET = 13, 23  # in which the operators used here mean the same
_INT64_MAX = (1 << 63) - 1


def multiply_in_int8(file: OnnxFile) -> bool:
    """Multiply matrices of four bits with inputs rounded to eight, instead of unpacking them to fp32.

    Published graphs do not say, and ONNX Runtime then takes the slow way. Where a processor lacks the kernels
    it still does.
    """
    file.nodes = [_in_int8(node) for node in file.nodes]
    return all(node.integer(_ACCURACY, 0) for node in file.nodes if node.op == "MatMulNBits")


def _in_int8(node: Node) -> Node:
    if node.op != "MatMulNBits" or node.integer("bits") != 4 or node.integer(_ACCURACY, 0):
        return node
    return replace(node, attributes={**node.attributes, **number_attribute(_ACCURACY, _INT8)})


def last_row_only(file: OnnxFile) -> bool:
    """Score only what follows the last token: the output `logits` gets one row.

    1,000 tokens of a vocabulary of 151,936 have 600 MB of scores, all but the last of which are thrown away.
    """
    makers = {output: node for node in file.nodes for output in node.outputs}
    name = _LOGITS
    while (node := makers.get(name)) is not None and node.op in ("Cast", "Identity"):
        name = node.inputs[0]
    if node is None or node.op not in ("MatMul", "MatMulNBits") or not _known_opset(file):
        return False
    matrix = file.weights.get(node.inputs[1])
    if matrix is None or (node.op == "MatMul" and len(matrix.dims) != 2):
        return False
    last = "logits/last_states"
    bounds = [file.constant(number) for number in (-1, _INT64_MAX, -2)]
    at = file.nodes.index(node)
    file.nodes[at : at + 1] = [
        Node("Slice", [node.inputs[0], *bounds], [last], name=last),
        replace(node, inputs=[last, *node.inputs[1:]]),
    ]
    file.free_shape(_LOGITS)
    return True


def in_query_blocks(file: OnnxFile) -> bool:
    """Compute attention for one block of queries after the other: memory grows with tokens, not their square.

    Looks for MatMul, operations that keep rows apart, Softmax over the last axis, MatMul.
    """
    if not _known_opset(file):
        return False
    for number, node in enumerate([node for node in file.nodes if node.op == "Softmax"]):
        if node.integer("axis", -1) == -1:
            QueryLoop(file, node, f"attention{number}").put()
    file.drop_unread()
    return all(node.op != "Softmax" for node in file.nodes)


def _known_opset(file: OnnxFile) -> bool:
    return _OLDEST_OPSET <= file.opset <= _NEWEST_OPSET
