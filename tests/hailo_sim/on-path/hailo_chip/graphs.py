"""ONNX graphs from bytes, on one thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from numpy.typing import NDArray


class Graph:
    """One loaded graph."""

    def __init__(self, data: bytes) -> None:
        ort = _onnxruntime()
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session: Any = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        self.inputs = [item.name for item in self._session.get_inputs()]
        self.outputs = [item.name for item in self._session.get_outputs()]

    def run(self, outputs: Sequence[str], feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """The named outputs."""
        made: list[NDArray[Any]] = self._session.run(list(outputs), dict(feeds))
        return made


def _onnxruntime() -> Any:
    """Late, since opening the chip does not need it; through the product's module, which quiets it."""
    import_module("hailo_common.inference.onnx")
    return import_module("onnxruntime")
