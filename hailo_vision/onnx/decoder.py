"""The decoder as an ONNX graph with a key-value cache.

`inputs_embeds`, `attention_mask` (1, past + n), `position_ids` (3, 1, n) and `past_key_values.N.{key,value}`
→ `logits` and `present.N.{key,value}`; a zero-length past at the beginning. The cache is plain arrays:
values bound in ONNX Runtime's own memory measured no faster, and slower on small models.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hailo_common.errors import ModelError
from hailo_common.inference.onnx import Graph
from hailo_common.inference.sampling import Logits
from hailo_vision.onnx.stages import Floats, KVCache

_PAST = re.compile(r"past_key_values\.(\d+\.(?:key|value))")
_LOGITS, _EMBEDS, _MASK, _POSITIONS = "logits", "inputs_embeds", "attention_mask", "position_ids"
_PLAIN = {_EMBEDS, _MASK, _POSITIONS}


class OnnxDecoder:
    """`decoder_model_merged.onnx`."""

    def __init__(self, graph: Graph, head: tuple[int, int], positions: int) -> None:
        """`head` is (heads, size of a head), `positions` the longest context in tokens.

        Raises ModelError naming the file whose inputs or outputs are not those of such a decoder.
        """
        self._graph = graph
        self._present = {
            name: f"present.{match[1]}" for name in graph.inputs if (match := _PAST.fullmatch(name))
        }
        graph.need([_EMBEDS, _MASK, _POSITIONS], [_LOGITS, *self._present.values()])
        if not self._present:
            raise ModelError(f"{graph.path}: expected inputs named past_key_values.N.key")
        for name in graph.inputs:
            if name not in _PLAIN and name not in self._present:
                raise ModelError(f"{graph.path}: expected a decoder that has no input {name!r}")
        for name in self._present:
            _check_head(graph, name, head)
        self._head = head
        self._outputs = [_LOGITS, *self._present.values()]
        self._ones = np.ones((1, positions), graph.inputs[_MASK].dtype)

    def empty(self) -> KVCache:
        """See `Decoder.empty`."""
        heads, size = self._head
        inputs = self._graph.inputs
        return KVCache({n: np.zeros((1, heads, 0, size), inputs[n].dtype) for n in self._present}, 0)

    def extend(self, past: KVCache, embedded: Floats, positions: NDArray[np.int64]) -> tuple[Logits, KVCache]:
        """See `Decoder.extend`."""
        graph = self._graph
        length = past.length + embedded.shape[1]
        plain = {_EMBEDS: embedded, _MASK: self._ones[:, :length], _POSITIONS: positions}
        feeds = {name: graph.cast(name, value) for name, value in plain.items()}
        logits, *present = graph.run(self._outputs, {**feeds, **past.values})
        return _last_row(logits), KVCache(dict(zip(self._present, present, strict=True)), length)

    def bytes_for(self, tokens: int) -> int:
        """See `Decoder.bytes_for`: a past and the longer one that takes its place."""
        heads, size = self._head
        number = sum(self._graph.inputs[name].dtype.itemsize for name in self._present)
        return 2 * heads * size * number * tokens

    def close(self) -> None:
        """See `Decoder.close`."""
        self._graph.close()


def _check_head(graph: Graph, name: str, head: tuple[int, int]) -> None:
    declared = graph.inputs[name].shape
    fits = zip(declared[1::2], head, strict=False)
    if len(declared) != 4 or any(have not in (None, want) for have, want in fits):
        raise ModelError(
            f"{graph.path}: expected {name!r} of {head[0]} heads of {head[1]} numbers, as config.json says"
        )


def _last_row(logits: NDArray[Any]) -> NDArray[np.float32]:
    """The scores after the last token, of (1, n, vocabulary) or (1, vocabulary); writable."""
    row: NDArray[np.float32] = logits.reshape(-1, logits.shape[-1])[-1].astype(np.float32)
    return row
