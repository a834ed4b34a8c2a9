"""Weights stored in half precision and computed with in full: half the size, the same arithmetic."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HALVED = ".half"
"""What the name of a weight ends in that is stored so."""
LEAST = 256
"""Smaller tensors stay as they are."""


def store_halves(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with large float32 initializers in float16, each cast back where it is used.

    ONNX Runtime does that cast once, as it loads the file.
    """
    graph, casts = model.graph, []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < LEAST:
            continue
        name = tensor.name
        halved = numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(numpy_helper.from_array(halved, f"{name}{HALVED}"))
        casts.append(helper.make_node("Cast", [f"{name}{HALVED}"], [name], to=TensorProto.FLOAT))
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend([*casts, *nodes])
    onnx.checker.check_model(model)
    return model
