"""The three stages of Florence-2, each of which may run on another backend.

A stage is built once by `hailo_florence.build` and used by one thread. `d` is the model's width.
Features and hidden states travel between stages as float arrays of whatever precision the stage made;
the receiving stage casts them to what its graph wants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hailo_common.engine.contract import RgbImage, StageInfo
from hailo_common.npu.hailort import Npu
from hailo_common.npu.network import QuantizedRow

Floats = NDArray[np.floating[Any]]


class SupportsClose(Protocol):
    """What holds something."""

    def close(self) -> None:
        """Release it. May be called twice."""
        ...


class Embedding(SupportsClose, Protocol):
    """Tokens to vectors, for whatever reads tokens."""

    def __call__(self, ids: Sequence[int]) -> Floats:
        """n token ids to (1, n, d)."""
        ...


class VisionEncoder(Protocol):
    """Image to image features; normalising is its own, so that an NPU may do it on the chip."""

    def encode(self, image: RgbImage) -> Floats:
        """(height, width, 3) uint8 to (1, image tokens, d)."""
        ...

    def close(self) -> None:
        """Release the model. May be called twice."""
        ...


class TextEncoder(Protocol):
    """Image features and prompt to the sequence that the decoder attends to."""

    @property
    def length(self) -> int | None:
        """Tokens that image and prompt may take together, as far as this stage limits them."""
        ...

    def encode(self, features: Floats, ids: Sequence[int]) -> Floats:
        """(1, image tokens, d) and n prompt token ids to hidden states (1, image tokens + n, d)."""
        ...

    def close(self) -> None:
        """Release the model. May be called twice."""
        ...


class Decoding(Protocol):
    """One answer in the making; dropping it frees its cache."""

    def step(self, token: int) -> NDArray[np.float32] | QuantizedRow:
        """Feed the newest token; writable scores (vocabulary,) of the next one, until the next step."""
        ...


class ForkableDecoding(Decoding, Protocol):
    """A `Decoding` that can be continued in several ways."""

    def fork(self) -> ForkableDecoding:
        """The same answer once more. Both go on by themselves."""
        ...


class Decoder(Protocol):
    """Hidden states to tokens, one at a time."""

    @property
    def length(self) -> int | None:
        """Hidden states that it can attend to, as far as this stage limits them."""
        ...

    @property
    def window(self) -> int | None:
        """Tokens of an answer, the start token included, as far as this stage limits them."""
        ...

    def start(self, hidden: Floats) -> ForkableDecoding:
        """Begin an answer from hidden states (1, s, d)."""
        ...

    def close(self) -> None:
        """Release the model. May be called twice."""
        ...


@dataclass(frozen=True)
class Stages:
    """The stages in use, and what `/health` shows of each.

    `others` is what they share: embeddings, the chip. It is closed after them, in order. `prove` is what
    `Npu.temperature` calls.
    """

    vision: VisionEncoder
    text: TextEncoder
    decoder: Decoder
    info: tuple[StageInfo, ...]
    chip: Npu | None = None
    prove: Callable[[], object] = lambda: None
    others: Sequence[SupportsClose] = ()

    @property
    def window(self) -> int | None:
        """See `Decoder.window`."""
        return self.decoder.window

    def positions(self, most: int) -> int:
        """Tokens that image and prompt may take together: `most`, or what a stage of fixed size allows."""
        return min(size for size in (most, self.text.length, self.decoder.length) if size is not None)

    def close(self) -> None:
        """Release all stages. May be called twice."""
        held: tuple[SupportsClose, ...] = (self.decoder, self.text, self.vision, *self.others)
        for each in held:
            each.close()
