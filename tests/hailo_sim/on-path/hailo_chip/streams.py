"""Inputs and outputs of an ordinary network: shape, type on the host, quantisation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hailo_chip.enums import FormatOrder, FormatType
from hailo_chip.statuses import failed

_DTYPES: Mapping[FormatType, np.dtype[Any]] = {
    FormatType.UINT8: np.dtype(np.uint8),
    FormatType.UINT16: np.dtype(np.uint16),
    FormatType.FLOAT32: np.dtype(np.float32),
}


@dataclass(frozen=True)
class QuantInfo:
    """`real = (stored - qp_zp) * qp_scale`; the limits are what the compiler saw."""

    qp_zp: float
    qp_scale: float
    limvals_min: float
    limvals_max: float


@dataclass(frozen=True)
class Format:
    """How a stream is stored on the host."""

    type: FormatType
    order: FormatOrder
    flags: int = 0


@dataclass(frozen=True)
class Stream:
    """One input or output as the HEF says: `full` is (height, width, features)."""

    name: str
    is_input: bool
    full: tuple[int, int, int]
    native: FormatType
    chosen: FormatType
    order: FormatOrder
    quant: QuantInfo

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Stream:
        """From the HEF's JSON."""
        native = FormatType[row["type"]]
        height, width, features = row["shape"]
        return cls(
            name=row["name"],
            is_input=row["direction"] == "input",
            full=(height, width, features),
            native=native,
            chosen=native,
            order=FormatOrder[row["order"]],
            quant=QuantInfo(row["zp"], row["scale"], *row["limits"]),
        )

    @property
    def shape(self) -> list[int]:
        """What programs are told; depends on the order."""
        height, width, features = self.full
        if self.order is FormatOrder.NC:
            return [features]
        return [height, width] if self.order is FormatOrder.NHW else [height, width, features]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type that a buffer must have."""
        return _DTYPES[self.chosen]

    @property
    def size(self) -> int:
        """Bytes of a buffer."""
        return math.prod(self.full) * self.dtype.itemsize

    def with_type(self, wanted: FormatType) -> Stream:
        """Stored otherwise on the host; AUTO is the HEF's own type."""
        return replace(self, chosen=self.native if wanted is FormatType.AUTO else wanted)

    def check(self) -> None:
        """Raise status 2 for a type that the library does not convert."""
        if self.chosen not in (self.native, FormatType.FLOAT32):
            raise failed("INVALID_ARGUMENT")

    def to_real(self, buffer: NDArray[Any]) -> NDArray[np.float32]:
        """What the chip computes with, (height, width, features), after its quantisation."""
        stored = buffer.reshape(self.full)
        if self.chosen is FormatType.FLOAT32:
            stored = self._quantised(stored)
        return ((stored.astype(np.float64) - self.quant.qp_zp) * self.quant.qp_scale).astype(np.float32)

    def to_stored(self, real: NDArray[np.float32]) -> NDArray[Any]:
        """What lies in the host's buffer for an output of these values."""
        stored = self._quantised(real.reshape(self.full))
        if self.chosen is not FormatType.FLOAT32:
            return stored
        return ((stored.astype(np.float32) - self.quant.qp_zp) * self.quant.qp_scale).astype(np.float32)

    def _quantised(self, real: NDArray[Any]) -> NDArray[Any]:
        dtype = _DTYPES[self.native]
        scaled = np.rint(real / np.float32(self.quant.qp_scale)) + self.quant.qp_zp
        stored: NDArray[Any] = np.clip(scaled, 0, np.iinfo(dtype).max).astype(dtype)
        return stored
