"""Four-bit blocks as ONNX Runtime reads them."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx")

import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from training.onnx.onnx_variants import as_q4

DEPTH, WIDTH = 64, 24


def test_a_matrix_of_four_bits_multiplies_as_the_one_it_stands_for() -> None:
    random = np.random.default_rng(1)
    numbers = random.integers(-7, 8, (DEPTH, WIDTH))
    # The largest number of each block says what its scale is.
    numbers[::32] = 7
    scales = random.uniform(0.1, 2, (DEPTH // 32, WIDTH)).repeat(32, axis=0)
    weight = (numbers * scales).astype(np.float32)
    small = as_q4(one_matrix(weight))
    assert [node.op_type for node in small.graph.node] == ["MatMulNBits"]
    assert len(small.SerializeToString()) < weight.nbytes / 4
    rows = random.standard_normal((3, DEPTH)).astype(np.float32)
    session = onnxruntime.InferenceSession(small.SerializeToString(), providers=["CPUExecutionProvider"])
    assert np.allclose(session.run(None, {"rows": rows})[0], rows @ weight, atol=1e-3)


def one_matrix(weight: np.ndarray) -> onnx.ModelProto:
    """A graph that multiplies rows with it."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["rows", "weight"], ["out"])],
        "one",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["n", DEPTH])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", WIDTH])],
        [numpy_helper.from_array(weight, "weight")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
