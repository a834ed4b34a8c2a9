"""Token embedding as an ONNX graph, `input_ids` → `inputs_embeds` as the community exports name them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hailo_common.backends.onnx import Graph

_IDS, _EMBEDS = "input_ids", "inputs_embeds"


class OnnxEmbedding:
    """`embed_tokens.onnx`, which every part that reads tokens shares."""

    def __init__(self, graph: Graph) -> None:
        """Raises ModelError when the graph is another one."""
        graph.need([_IDS], [_EMBEDS])
        self._graph = graph
        self._dtype = graph.inputs[_IDS].dtype

    def __call__(self, ids: Sequence[int]) -> NDArray[np.floating[Any]]:
        """n token ids to (1, n, d)."""
        return self._graph.run([_EMBEDS], {_IDS: np.array([ids], self._dtype)})[0]

    def close(self) -> None:
        """Release the graph. May be called twice."""
        self._graph.close()
