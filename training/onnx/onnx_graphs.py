"""Work on exported graphs: names of weights, and one decoder from two."""

from __future__ import annotations

import json

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

TRANSPOSED = ".T"
SAME_AS = "same_as"
IR_VERSION = 8  # of ONNX 1.12, for onnxruntime 1.21 and older


def tidy(model: onnx.ModelProto, weights: dict[str, NDArray[np.float32]], prefix: dict[str, str]) -> None:
    """Give weights their names in the torch model and store those of linear layers as they are used.

    A weight that is only used transposed is stored so, its name ending in `.T`. The exporter keeps
    one of several equal weights; the metadata entry `same_as` names the others.
    """
    graph = model.graph
    renamed = {item.name: _full_name(item.name, prefix) for item in graph.initializer if item.name in weights}
    _rename_inputs(graph, renamed)
    for item in graph.initializer:
        item.name = renamed.get(item.name, item.name)
    _store_transposed(graph)
    _shorten(graph)
    present = {item.name.removesuffix(TRANSPOSED) for item in graph.initializer}
    kept = {renamed[name]: value for name, value in weights.items() if name in renamed}
    same = {}
    for name, value in weights.items():
        if (full := _full_name(name, prefix)) not in present:
            equal = [other for other, known in kept.items() if np.array_equal(known, value)]
            if equal:
                same[full] = equal[0]
    helper.set_model_props(model, {SAME_AS: json.dumps(same)} if same else {})
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version = "", ""


def _full_name(name: str, prefix: dict[str, str]) -> str:
    head, _, rest = name.partition(".")
    return f"{prefix[head]}.{rest}"


def _rename_inputs(graph: onnx.GraphProto, renamed: dict[str, str]) -> None:
    for node in graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = renamed.get(name, name)


def _store_transposed(graph: onnx.GraphProto) -> None:
    """Replace `Transpose` of a stored matrix, used by nothing else, by the transposed matrix."""
    stored = {item.name: item for item in graph.initializer}
    uses: dict[str, int] = {}
    for node in graph.node:
        for name in node.input:
            uses[name] = uses.get(name, 0) + 1
    for node in [node for node in graph.node if node.op_type == "Transpose" and node.input[0] in stored]:
        item = stored[node.input[0]]
        if uses[item.name] == 1 and len(item.dims) == 2:
            name = item.name + TRANSPOSED
            item.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(numpy_helper.to_array(item).T), name))
            _rename_inputs(graph, {node.output[0]: name})
            graph.node.remove(node)


def _shorten(graph: onnx.GraphProto) -> None:
    """Number the inner values and nodes: their traced names are half of a small file."""
    fixed = {item.name for part in (graph.input, graph.output, graph.initializer) for item in part}
    short = {"": ""} | {name: name for name in fixed}
    for number, node in enumerate(graph.node):
        node.name = f"{node.op_type}{number}"
        node.doc_string = ""
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                names[index] = short.setdefault(name, f"v{len(short)}")
    del graph.value_info[:]


def _branch(
    model: onnx.ModelProto, name: str, shared: set[str], outputs: list[onnx.ValueInfoProto]
) -> onnx.GraphProto:
    """A graph without inputs whose inner names all begin with its name; `shared` ones come from outside."""
    nodes = []
    for node in model.graph.node:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.name = f"{name}/{node.name}" if node.name else ""
        for names in (copy.input, copy.output):
            for index, old in enumerate(names):
                names[index] = old if old in shared or not old else f"{name}/{old}"
        nodes.append(copy)
    results = []
    for output in outputs:
        result = onnx.ValueInfoProto()
        result.CopyFrom(output)
        result.name = f"{name}/{output.name}"
        results.append(result)
    return helper.make_graph(nodes, name, [], results)


def _add_empty(branch: onnx.GraphProto, name: str, output: onnx.ValueInfoProto) -> None:
    """Make the branch give an empty tensor [0, heads, 1, head] for an output that it does not have."""
    dims = [dim.dim_value or 1 for dim in output.type.tensor_type.shape.dim]
    kind = output.type.tensor_type.elem_type
    empty = helper.make_tensor(f"{name}/{output.name}/value", kind, [0, dims[1], 1, dims[3]], [])
    branch.node.append(helper.make_node("Constant", [], [f"{name}/{output.name}"], value=empty))


def merge_decoders(first: onnx.ModelProto, later: onnx.ModelProto) -> onnx.ModelProto:
    """One decoder with `use_cache_branch`: true runs `later`, false runs `first`; weights stand outside."""
    stored = {item.name: item for item in [*first.graph.initializer, *later.graph.initializer]}
    for item in first.graph.initializer:
        if stored[item.name].SerializeToString() != item.SerializeToString():
            raise ValueError(f"the two decoders disagree on {item.name}")
    inputs = {item.name: item for item in [*first.graph.input, *later.graph.input]}
    shared = {*stored, *inputs}
    outputs = list(first.graph.output)
    made = {output.name for output in later.graph.output}
    branches = {
        "first": _branch(first, "first", shared, outputs),
        "later": _branch(later, "later", shared, outputs),
    }
    for output in outputs:
        if output.name not in made:
            _add_empty(branches["later"], "later", output)
    names = sorted(inputs, key=_past_order)
    flag = helper.make_tensor_value_info("use_cache_branch", TensorProto.BOOL, [1])
    node = helper.make_node(
        "If",
        ["use_cache_branch"],
        [output.name for output in outputs],
        name="decoder",
        then_branch=branches["later"],
        else_branch=branches["first"],
    )
    graph = helper.make_graph(
        [node],
        "decoder_model_merged",
        [*(inputs[name] for name in names), flag],
        outputs,
        list(stored.values()),
    )
    merged = helper.make_model(graph, opset_imports=list(first.opset_import), ir_version=IR_VERSION)
    helper.set_model_props(merged, {entry.key: entry.value for entry in first.metadata_props})
    return merged


def _past_order(name: str) -> tuple[int, int, str]:
    """Order of the inputs: the plain ones by name, then the past layer by layer."""
    parts = name.split(".")
    return (0, 0, name) if len(parts) == 1 else (1, int(parts[1]), name)
