"""What an ordinary network computes: an ONNX graph between its streams.

The HEF's JSON: `streams`, `graph` (a file), `feeds` (graph input to what feeds it: `{"stream"}` the values of
an input; `{"rows_of"}` 1 for each row of an input that is not all zeros, else 0, as a mask; `{"constant",
"shape", "type"}`) and `outputs` (output stream to graph output, or to `[graph output,
first, end]` of its last axis).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hailo_chip.graphs import Graph
from hailo_chip.hef import Hef
from hailo_chip.settings import speed
from hailo_chip.streams import Stream

Values = Mapping[str, NDArray[np.float32]]


class Network:
    """The computation of one HEF; loaded when it is configured."""

    def __init__(self, hef: Hef) -> None:
        self._about = hef.about
        self._graph = Graph(hef.file(hef.about["graph"])) if speed().compute else None

    def run(self, inputs: Values, outputs: Mapping[str, Stream]) -> dict[str, NDArray[np.float32]]:
        """Values of the output streams from those of the inputs, (height, width, features) each."""
        assert self._graph is not None
        feeds = {name: self._feed(what, inputs) for name, what in self._about["feeds"].items()}
        wanted: dict[str, tuple[str, int, int | None]] = {
            name: (what, 0, None) if isinstance(what, str) else tuple(what)
            for name, what in self._about["outputs"].items()
        }
        graphs = list(dict.fromkeys(graph for graph, _, _ in wanted.values()))
        made = dict(zip(graphs, self._graph.run(graphs, feeds), strict=True))
        return {
            name: made[graph][..., first:end].astype(np.float32).reshape(outputs[name].full)
            for name, (graph, first, end) in wanted.items()
        }

    def _feed(self, what: Mapping[str, Any], inputs: Values) -> NDArray[Any]:
        if "constant" in what:
            return np.full(what["shape"], what["constant"], what["type"])
        if "rows_of" in what:
            rows = inputs[what["rows_of"]]
            return rows.any(axis=-1).astype(np.int64).reshape(1, -1)
        value = inputs[what["stream"]]
        return value.reshape(1, -1, value.shape[-1])
