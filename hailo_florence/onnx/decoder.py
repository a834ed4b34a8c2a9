"""The decoder as ONNX graphs with a key-value cache: one merged graph, or a first and a later one.

A merged graph (`use_cache_branch`) starts with a zero-length past and false; later it answers with empty
`present.N.encoder.*`, so those of the first step are kept, and never copied. Source of the protocol: the
decoder loop of transformers.js and optimum's merged decoders.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hailo_common.errors import ModelError
from hailo_common.inference.onnx import Graph
from hailo_florence.model.stages import Embedding, Floats

_PAST = re.compile(r"past_key_values\.(\d+\.(decoder|encoder)\.(?:key|value))")
_LOGITS, _EMBEDS, _BRANCH = "logits", "inputs_embeds", "use_cache_branch"
_HIDDEN, _MASK = "encoder_hidden_states", "encoder_attention_mask"
_PLAIN = {_EMBEDS, _HIDDEN, _MASK, _BRANCH}


class OnnxDecoder:
    """A decoder; `first` is the graph of the first step, `later` of all others (the same one when merged)."""

    length: int | None = None
    window: int | None = None

    def __init__(self, first: Graph, later: Graph, embed: Embedding, head: tuple[int, int]) -> None:
        """`head` is (heads, size of a head), for graphs that do not declare it.

        Raises ModelError naming the file whose inputs or outputs are not those of a decoder with a cache.
        """
        self.first, self.later, self.embed = first, later, embed
        self.past = {name: match for name in later.inputs if (match := _PAST.fullmatch(name))}
        self.present = {name: f"present.{match[1]}" for name, match in self.past.items()}
        self.growing = [name for name, match in self.past.items() if match[2] == "decoder"]
        self._head = head
        for graph in (first, later):
            graph.need([_EMBEDS], [_LOGITS, *(self.present[name] for name in self.growing)])
            _refuse_unknown(graph)
        first.need(outputs=list(self.present.values()))
        if not self.growing:
            raise ModelError(f"{later.path}: expected inputs named past_key_values.N.decoder.key")

    def start(self, hidden: Floats) -> OnnxDecoding:
        """See `Decoder.start`."""
        return OnnxDecoding(self, hidden)

    def empty_past(self) -> dict[str, NDArray[Any]]:
        """A zero-length past for a first graph that asks for one."""
        return {
            name: np.zeros(self._past_shape(tensor.shape), tensor.dtype)
            for name, tensor in self.first.inputs.items()
            if name in self.past
        }

    def _past_shape(self, declared: tuple[int | None, ...]) -> tuple[int, int, int, int]:
        heads, size = (declared[1], declared[3]) if len(declared) == 4 else (None, None)
        return 1, heads or self._head[0], 0, size or self._head[1]

    def close(self) -> None:
        """See `Decoder.close`; the embedding stays its maker's."""
        self.first.close()
        self.later.close()


class OnnxDecoding:
    """See `Decoding`. Holds the cache of one answer."""

    def __init__(self, decoder: OnnxDecoder, hidden: Floats) -> None:
        self._decoder = decoder
        self._fixed = {
            _HIDDEN: hidden,
            _MASK: np.ones(hidden.shape[:2], np.int64),
        }
        self._feeds: dict[str, NDArray[Any]] | None = None
        self._wanted = [_LOGITS, *(decoder.present[name] for name in decoder.growing)]

    def step(self, token: int) -> NDArray[np.float32]:
        """See `Decoding.step`."""
        embedded = self._decoder.embed([token])
        logits = self._first(embedded) if self._feeds is None else self._later(self._feeds, embedded)
        scores: NDArray[np.float32] = logits[0, -1].astype(np.float32, copy=False)
        return scores

    def fork(self) -> OnnxDecoding:
        """See `Decoding.fork`. The caches are shared: a step makes new ones and changes none."""
        made = OnnxDecoding.__new__(OnnxDecoding)
        made.__dict__ |= self.__dict__
        made._feeds = None if self._feeds is None else dict(self._feeds)
        return made

    def _first(self, embedded: Floats) -> NDArray[Any]:
        """Fill the cache, and prepare what every later step is fed."""
        decoder, graph = self._decoder, self._decoder.first
        feeds = {**self._constant(graph, caching=False), **decoder.empty_past()}
        feeds[_EMBEDS] = graph.cast(_EMBEDS, embedded)
        logits, *present = graph.run([_LOGITS, *decoder.present.values()], feeds)
        self._feeds = self._constant(decoder.later, caching=True)
        for name, value in zip(decoder.present, present, strict=True):
            self._feeds[name] = decoder.later.cast(name, value)
        return logits

    def _later(self, feeds: dict[str, NDArray[Any]], embedded: Floats) -> NDArray[Any]:
        graph = self._decoder.later
        feeds[_EMBEDS] = graph.cast(_EMBEDS, embedded)
        logits, *present = graph.run(self._wanted, feeds)
        feeds.update(zip(self._decoder.growing, present, strict=True))
        return logits

    def _constant(self, graph: Graph, *, caching: bool) -> dict[str, NDArray[Any]]:
        """What does not change from step to step, of the inputs that this graph has."""
        feeds = {name: graph.cast(name, value) for name, value in self._fixed.items() if name in graph.inputs}
        if _BRANCH in graph.inputs:
            feeds[_BRANCH] = np.array([caching])
        return feeds


def _refuse_unknown(graph: Graph) -> None:
    for name in graph.inputs:
        if name not in _PLAIN and not _PAST.fullmatch(name):
            raise ModelError(f"{graph.path}: expected a Florence-2 decoder, which has no input {name!r}")
