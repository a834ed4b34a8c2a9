"""The stages of Qwen2-VL, each of which may run on another backend.

A stage is built once by `hailo_vision.onnx.engine` and used by one thread. `d` is the model's width.
Features and embeddings travel between stages as float arrays of whatever precision the stage made; the
receiving stage casts them to what its graph wants.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hailo_common.engine.contract import RgbImage, StageInfo
from hailo_common.inference.sampling import Logits

Floats = NDArray[np.floating[Any]]


class VisionEncoder(Protocol):
    """Image to image features; cutting into patches is its own, so that an NPU may do it on the chip."""

    def encode(self, image: RgbImage) -> Floats:
        """(height, width, 3) uint8, sides that the model's patches divide, to (image tokens, d)."""
        ...

    def bytes_for(self, tokens: int) -> int:
        """About what memory `encode` takes for an image of so many tokens."""
        ...

    def close(self) -> None:
        """Release the model. May be called twice."""
        ...


class Embedding(Protocol):
    """Token ids to what the decoder reads."""

    def __call__(self, ids: Sequence[int]) -> Floats:
        """n token ids to (1, n, d)."""
        ...

    def close(self) -> None:
        """Release the model. May be called twice."""
        ...


@dataclass(frozen=True)
class KVCache:
    """Keys and values of the `length` tokens read so far, by the names that the decoder gives them.

    (1, heads, length, size of a head) each. Never changes, so that several answers may go on from one.
    """

    values: Mapping[str, NDArray[Any]]
    length: int

    @property
    def nbytes(self) -> int:
        """The size of all values in bytes."""
        return sum(value.nbytes for value in self.values.values())

    def cut(self, length: int) -> KVCache:
        """Only the first `length` tokens, as views."""
        return KVCache({name: value[:, :, :length] for name, value in self.values.items()}, length)


class Decoder(Protocol):
    """Embedded tokens to scores of the next one."""

    def empty(self) -> KVCache:
        """A past of no tokens."""
        ...

    def extend(self, past: KVCache, embedded: Floats, positions: NDArray[np.int64]) -> tuple[Logits, KVCache]:
        """Read n more tokens, (1, n, d) at positions (3, 1, n).

        Returns writable scores of the token after the last one, (vocabulary,), and the longer past.
        """
        ...

    def bytes_for(self, tokens: int) -> int:
        """About what memory a conversation of so many tokens takes while it is read and answered."""
        ...

    def close(self) -> None:
        """Release the model. May be called twice."""
        ...


@dataclass(frozen=True)
class Stages:
    """The stages in use, and what `/health` shows of each."""

    vision: VisionEncoder
    embed: Embedding
    decoder: Decoder
    info: tuple[StageInfo, ...]

    def close(self) -> None:
        """Release all stages. May be called twice."""
        for stage in (self.decoder, self.embed, self.vision):
            stage.close()
