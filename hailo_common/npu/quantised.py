"""Numbers as the chip stores them: whole ones, with a scale and a zero point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hailo_common.npu.types import QuantInfo

Stored = NDArray[np.unsignedinteger[Any]]


class Quantisation:
    """`real = (stored - zero) * scale`, one pair for all numbers or one for each feature (the last axis)."""

    def __init__(self, infos: Sequence[QuantInfo], dtype: np.dtype[Any]) -> None:
        """From what HailoRT says of a stream whose numbers are of `dtype` (uint8 or uint16)."""
        self.scale = np.array([info.qp_scale for info in infos], np.float32)
        self.zero = np.array([info.qp_zp for info in infos], np.float32)
        self._most = np.float32(np.iinfo(dtype).max)

    @property
    def valid(self) -> bool:
        """True for scales above 0; others mean that the file does not say."""
        return self.scale.size > 0 and bool((self.scale > 0).all())

    @property
    def ordered(self) -> bool:
        """True when stored numbers compare as the real ones do."""
        return bool((self.scale == self.scale[0]).all() and (self.zero == self.zero[0]).all())

    def store(self, real: NDArray[np.floating[Any]], out: Stored) -> None:
        """Write real numbers into a buffer of the same shape, each as the nearest that it can hold."""
        scaled = np.divide(real, self.scale, dtype=np.float32)
        scaled += self.zero
        np.rint(scaled, out=scaled)
        np.clip(scaled, 0, self._most, out=scaled)
        out[...] = scaled

    def clear(self, out: Stored) -> None:
        """Fill a buffer with zeros."""
        out[...] = np.clip(np.rint(self.zero), 0, self._most)

    def read(self, stored: Stored) -> NDArray[np.float32]:
        """The real numbers, in a new array."""
        real = stored.astype(np.float32)
        real -= self.zero
        real *= self.scale
        return real


@dataclass(frozen=True)
class QuantisedRow:
    """Scores of the next token as the chip stores them, (vocabulary,), writable, until the next step."""

    stored: Stored
    quantisation: Quantisation

    @property
    def size(self) -> int:
        """How many scores."""
        return self.stored.size

    def best(self, banned: Sequence[int]) -> int | None:
        """The id of the highest score among those not `banned`, the lowest id of equals.

        Changes the banned ones' scores. None when only real numbers can tell.
        """
        if not self.quantisation.ordered:
            return None
        for token in banned:
            if token < self.stored.size:
                self.stored[token] = 0
        best = int(self.stored.argmax())
        return best if self.stored[best] else None

    def real(self) -> NDArray[np.float32]:
        """The scores as real numbers, in a new array."""
        return self.quantisation.read(self.stored)
