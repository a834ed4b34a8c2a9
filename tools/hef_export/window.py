"""The fixed-shape graphs on ONNX Runtime, used as the chip's: one length, one window, no cache. No PyTorch.

The stages fit into the service's own pipeline (`hailo_florence.model.stages`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hailo_common.inference.onnx import Graph
from hailo_florence.model.stages import Floats

Rows = NDArray[np.float32]


class FixedTextEncoder:
    """A text encoder of one length; a shorter prompt is followed by rows of zeros, as are its states."""

    def __init__(self, graph: Path, words: Rows, threads: int = 1) -> None:
        """`words` (vocabulary, d) holds a row for each token."""
        self._graph = Graph(graph, threads)
        self._words = words
        shape = self._graph.inputs["inputs_embeds"].shape
        self.length = int(shape[1] or 0)

    def embed(self, features: Floats, ids: Sequence[int]) -> Rows:
        """Features (1, tokens, d) and prompt ids as the encoder's input; ValueError for too many."""
        used = features.shape[1] + len(ids)
        if used > self.length:
            raise ValueError(f"expected at most {self.length} positions, not {used}")
        sequence = np.zeros((1, self.length, self._words.shape[1]), np.float32)
        sequence[:, : features.shape[1]] = features
        sequence[0, features.shape[1] : used] = self._words[list(ids)]
        return sequence

    def encode(self, features: Floats, ids: Sequence[int]) -> Floats:
        """See `TextEncoder.encode`; rows after the prompt are zeros."""
        hidden = self.run(self.embed(features, ids))
        hidden[:, features.shape[1] + len(ids) :] = 0
        return hidden

    def run(self, sequence: Rows) -> Rows:
        """Hidden states (1, length, d) of embeddings of the same shape."""
        return self._graph.run(["last_hidden_state"], {"inputs_embeds": sequence})[0]

    def close(self) -> None:
        """See `TextEncoder.close`."""
        self._graph.close()


class WindowDecoder:
    """A decoder that computes its whole window for every token."""

    def __init__(self, graph: Path, words: Rows, threads: int = 1) -> None:
        """`words` (vocabulary, d) holds a row for each token."""
        self.graph = Graph(graph, threads)
        self.words = words
        shape = self.graph.inputs["inputs_embeds"].shape
        self.window = int(shape[1] or 0)
        self.outputs = list(self.graph.outputs)

    def start(self, hidden: Floats) -> WindowDecoding:
        """See `Decoder.start`."""
        return WindowDecoding(self, hidden)

    def close(self) -> None:
        """See `Decoder.close`."""
        self.graph.close()


class WindowDecoding:
    """See `Decoding`; `rows` (1, window, d) holds the tokens so far and zeros after them."""

    def __init__(self, decoder: WindowDecoder, hidden: Floats) -> None:
        self._decoder = decoder
        self.hidden = hidden.astype(np.float32, copy=False)
        self.rows = np.zeros((1, decoder.window, decoder.words.shape[1]), np.float32)
        self.filled = 0

    def step(self, token: int) -> Rows:
        """See `Decoding.step`; ValueError when the window is full."""
        place = self.filled
        if place >= self._decoder.window:
            raise ValueError(f"the decoder's window has room for {self._decoder.window} tokens")
        self.rows[0, place] = self._decoder.words[token]
        self.filled = place + 1
        feeds = {"encoder_hidden_states": self.hidden, "inputs_embeds": self.rows}
        parts = self._decoder.graph.run(self._decoder.outputs, feeds)
        scores: Rows = np.concatenate([part[0, place] for part in parts])
        return scores
