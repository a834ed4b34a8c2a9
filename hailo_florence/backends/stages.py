"""The three stages of Florence-2, each of which may run on another backend.

A stage is built once by `hailo_florence.backends.build` and used by one thread. `d` is the model's width.
Features and hidden states travel between stages as float arrays of whatever precision the stage made;
the receiving stage casts them to what its graph wants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hailo_common.engine.contract import Picture

Floats = NDArray[np.floating[Any]]


class VisionEncoder(Protocol):
    """Picture to image features; normalising is its own, so that an NPU may do it on the chip."""

    def encode(self, picture: Picture) -> Floats:
        """(height, width, 3) uint8 to (1, image tokens, d)."""
        ...

    def close(self) -> None:
        """Release the model. May be called twice."""
        ...


class TextEncoder(Protocol):
    """Image features and prompt to the sequence that the decoder attends to."""

    def encode(self, features: Floats, ids: Sequence[int]) -> Floats:
        """(1, image tokens, d) and n prompt token ids to hidden states (1, image tokens + n, d)."""
        ...

    def close(self) -> None:
        """Release the model. May be called twice."""
        ...


class Decoding(Protocol):
    """One answer in the making; dropping it frees its cache."""

    def step(self, token: int) -> NDArray[np.float32]:
        """Feed the newest token; writable scores of the next one, shape (vocabulary,)."""
        ...


class Decoder(Protocol):
    """Hidden states to tokens, one at a time."""

    def start(self, hidden: Floats) -> Decoding:
        """Begin an answer from hidden states (1, s, d)."""
        ...

    def close(self) -> None:
        """Release the model. May be called twice."""
        ...


@dataclass(frozen=True)
class Stages:
    """The stages in use, and for each `{"name", "backend", "reason"}` as `/health` shows it."""

    vision: VisionEncoder
    text: TextEncoder
    decoder: Decoder
    rows: list[dict[str, str]]

    def close(self) -> None:
        """Release all stages. May be called twice."""
        for stage in (self.decoder, self.text, self.vision):
            stage.close()
