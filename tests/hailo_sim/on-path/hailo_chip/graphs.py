"""ONNX graphs from bytes, on one thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

import hailo_common.backends.onnx  # noqa: F401 - loads ONNX Runtime with its start-up noise closed off


class Graph:
    """One loaded graph."""

    def __init__(self, data: bytes) -> None:
        import onnxruntime as ort  # noqa: PLC0415 - after the import above

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
