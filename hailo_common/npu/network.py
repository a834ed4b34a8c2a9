"""One ordinary network on the NPU, with buffers and bindings made once.

Inputs and outputs keep the type that the file has (integers with a scale and a zero point), unless asked for
real numbers: the library would otherwise convert each of them on every run. Nothing here imports HailoRT.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hailo_common.errors import ModelError
from hailo_common.npu.errors import explain
from hailo_common.npu.types import (
    Bindings,
    CompletionInfo,
    ConfiguredInferModel,
    InferModel,
    InferStream,
    QuantInfo,
)
from hailo_common.resources import Closeable

log = logging.getLogger(__name__)

Stored = NDArray[np.unsignedinteger[Any]]

_DTYPES: dict[str, np.dtype[Any]] = {
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "FLOAT32": np.dtype(np.float32),
}


class Quantization:
    """`real = (stored - zero) * scale`, one pair for all numbers or one for each feature (the last axis)."""

    def __init__(self, infos: Sequence[QuantInfo], dtype: np.dtype[Any]) -> None:
        """From what HailoRT says of a stream whose numbers are of `dtype` (uint8 or uint16)."""
        self.scale = np.array([info.qp_scale for info in infos], np.float32)
        self.zero = np.array([info.qp_zp for info in infos], np.float32)
        self._max = np.float32(np.iinfo(dtype).max)

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
        np.clip(scaled, 0, self._max, out=scaled)
        out[...] = scaled

    def clear(self, out: Stored) -> None:
        """Fill a buffer with zeros."""
        out[...] = np.clip(np.rint(self.zero), 0, self._max)

    def read(self, stored: Stored) -> NDArray[np.float32]:
        """The real numbers, in a new array."""
        real = stored.astype(np.float32)
        real -= self.zero
        real *= self.scale
        return real


@dataclass(frozen=True)
class QuantizedRow:
    """Scores of the next token as the NPU stores them, (vocabulary,), writable, until the next step."""

    stored: Stored
    quantisation: Quantization

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


class Models(Protocol):
    """The part of `hailo_common.npu.hailort.Npu` that is needed here."""

    def infer_model(self, path: Path) -> InferModel:
        """Read a HEF."""
        ...


@dataclass(frozen=True)
class Port:
    """One input or output: `rows` of `width` numbers in `buffer`, which the NPU reads or fills."""

    name: str
    buffer: NDArray[Any]
    quantisation: Quantization | None
    """None where the buffer holds real numbers."""

    @property
    def rows(self) -> int:
        """All sizes but the last one, multiplied."""
        return int(self.buffer.shape[0])

    @property
    def width(self) -> int:
        """The last size."""
        return int(self.buffer.shape[1])

    def store(self, real: NDArray[np.floating[Any]], first: int = 0) -> None:
        """Write rows (n, width) of real numbers, beginning with row `first`."""
        rows = self.buffer[first : first + len(real)]
        if self.quantisation is None:
            rows[...] = real
        else:
            self.quantisation.store(real, rows)

    def clear(self, first: int = 0) -> None:
        """Set all rows from `first` on to zero."""
        if self.quantisation is None:
            self.buffer[first:] = 0
        else:
            self.quantisation.clear(self.buffer[first:])

    def read(self, rows: int) -> NDArray[np.float32]:
        """The first rows as real numbers, in a new array."""
        part = self.buffer[:rows]
        real: NDArray[np.float32] = part.copy() if self.quantisation is None else self.quantisation.read(part)
        return real


class Network(Closeable):
    """A HEF on the NPU; one thread at a time."""

    def __init__(self, npu: Models, path: Path, timeout_s: float) -> None:
        """Bring it onto the NPU; `timeout_s` bounds each run. Raises ModelMissing or ModelError.

        HailoRT's own exceptions are passed on: the caller tells a HEF that does not fit from a lost NPU.
        """
        self.path = path
        self._doing = f"running {path.name} on the chip"
        self._timeout_s = timeout_s
        self._failure: BaseException | None = None
        model = npu.infer_model(path)
        self.inputs = {stream.name: _port(stream, path) for stream in model.inputs}
        self.outputs = {stream.name: _port(stream, path) for stream in model.outputs}
        self._model: InferModel | None = model
        self._configured: ConfiguredInferModel | None = model.configure()
        self._bindings: Sequence[Bindings] = [
            self._configured.create_bindings(_buffers(self.inputs), _buffers(self.outputs))
        ]

    def input(self, suffix: str = "") -> Port:
        """The only input, or that whose name ends with `suffix`; raises ModelError naming the file."""
        return _by_suffix(self.inputs, suffix, f"{self.path}: expected one input")

    def output(self) -> Port:
        """The only output; raises ModelError naming the file."""
        return _by_suffix(self.outputs, "", f"{self.path}: expected one output")

    def run(self) -> None:
        """Compute the outputs' buffers from the inputs'. Raises DeviceLost: close it then."""
        if self._configured is None:
            raise RuntimeError("the network is closed")
        deadline = time.monotonic() + self._timeout_s
        self._failure = None
        try:
            self._configured.wait_for_async_ready(_left_ms(deadline))
            job = self._configured.run_async(self._bindings, self._done)
            job.wait(_left_ms(deadline))
        except Exception as error:
            raise explain(error, self._doing) from error
        # The job itself does not tell.
        failure, self._failure = self._failure, None
        if failure is not None:
            raise explain(failure, self._doing) from failure

    def _done(self, completion_info: CompletionInfo | None = None) -> None:
        """HailoRT's callback, on its thread: it must not raise."""
        if completion_info is not None:
            self._failure = completion_info.exception

    def close(self) -> None:
        """Take it off the NPU: bindings, configured model, model. May be called twice; logs what fails."""
        self._bindings = []
        configured, self._configured = self._configured, None
        if configured is not None:
            try:
                configured.shutdown()
            except Exception as error:
                log.warning("%s", explain(error, f"taking {self.path.name} off the chip"))
            del configured
        self._model = None


def _port(stream: InferStream, path: Path) -> Port:
    kind = str(stream.format.type.name)
    shape = [int(size) for size in stream.shape]
    if kind not in _DTYPES or not shape or min(shape) < 1:
        raise ModelError(f"{path}: cannot use the stream {stream.name!r} of shape {shape} and type {kind}")
    dtype = _DTYPES[kind]
    quantisation = None if kind == "FLOAT32" else Quantization(stream.quant_infos, dtype)
    if quantisation is not None and (not quantisation.valid or quantisation.scale.size not in (1, shape[-1])):
        raise ModelError(f"{path}: the stream {stream.name!r} does not say how its numbers are scaled")
    return Port(stream.name, np.zeros((math.prod(shape[:-1]), shape[-1]), dtype), quantisation)


def _buffers(ports: Mapping[str, Port]) -> dict[str, NDArray[Any]]:
    return {name: port.buffer for name, port in ports.items()}


def _by_suffix(ports: Mapping[str, Port], suffix: str, expected: str) -> Port:
    found = [port for name, port in ports.items() if name.endswith(suffix)]
    if len(found) != 1:
        wanted = f" with a name that ends in {suffix!r}" if suffix else ""
        raise ModelError(f"{expected}{wanted}, not {', '.join(ports) or 'none'}")
    return found[0]


def _left_ms(deadline: float) -> int:
    """At least 1: 0 would not wait, and less is an error of its own."""
    return max(1, math.ceil((deadline - time.monotonic()) * 1000))
