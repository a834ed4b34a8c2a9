"""The part of HailoRT's Python surface that the services call, as protocols; no more of it may be called.

Names, parameters and meaning are those of `hailo_platform` in every version of `hailo_common.npu.versions`.
Objects of these types come from `hailo_common.npu.hailort`, the only module that imports the library.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class QuantInfo(Protocol):
    """`real = (stored - qp_zp) * qp_scale`."""

    @property
    def qp_zp(self) -> float:
        """Zero point."""
        ...

    @property
    def qp_scale(self) -> float:
        """Scale."""
        ...


class StreamFormat(Protocol):
    """How a stream's numbers are stored."""

    @property
    def type(self) -> Any:
        """A `FormatType`; its `name` is UINT8, UINT16 or FLOAT32."""
        ...

    @property
    def order(self) -> Any:
        """A `FormatOrder`."""
        ...


class InferStream(Protocol):
    """One input or output of a model: `shape` is without the batch."""

    @property
    def name(self) -> str:
        """The full name, such as `model/input_layer1`."""
        ...

    @property
    def shape(self) -> Sequence[int]:
        """Sizes without the batch."""
        ...

    @property
    def format(self) -> StreamFormat:
        """Type and order on the host's side."""
        ...

    @property
    def quant_infos(self) -> Sequence[QuantInfo]:
        """Quantisation of the stored numbers: one for all, or one for each feature."""
        ...

    def set_format_type(self, type: Any) -> None:
        """Let the library convert from or to this `FormatType`."""
        ...


class BoundStream(Protocol):
    """One input or output of a set of bindings."""

    def set_buffer(self, buffer: NDArray[Any]) -> None:
        """Use this C-contiguous, writable array."""
        ...


class Bindings(Protocol):
    """The buffers of one inference."""

    def input(self, name: str = "") -> BoundStream:
        """The input of that name."""
        ...

    def output(self, name: str = "") -> BoundStream:
        """The output of that name."""
        ...


class CompletionInfo(Protocol):
    """What a callback receives; the only place where a failed inference shows."""

    @property
    def exception(self) -> BaseException | None:
        """Why the inference failed; None when it did not."""
        ...


class AsyncInferJob(Protocol):
    """An inference under way."""

    def wait(self, timeout_ms: int) -> None:
        """Return when its callback has run; does not tell whether it failed."""
        ...


class ConfiguredInferModel(Protocol):
    """A model on the chip."""

    def create_bindings(
        self,
        input_buffers: Mapping[str, NDArray[Any]] | None = None,
        output_buffers: Mapping[str, NDArray[Any]] | None = None,
    ) -> Bindings:
        """Bindings over these buffers."""
        ...

    def wait_for_async_ready(self, timeout_ms: int = 1000, frames_count: int = 1) -> None:
        """Return when the queue has room."""
        ...

    def run_async(
        self, bindings: Sequence[Bindings], callback: Callable[..., None] | None = None
    ) -> AsyncInferJob:
        """Start an inference; `callback` is called with the keyword `completion_info`."""
        ...

    def shutdown(self) -> None:
        """End what is under way and take the model off the chip."""
        ...


class InferModel(Protocol):
    """A HEF of an ordinary network, not yet on the chip."""

    @property
    def inputs(self) -> Sequence[InferStream]:
        """Its inputs."""
        ...

    @property
    def outputs(self) -> Sequence[InferStream]:
        """Its outputs."""
        ...

    def configure(self) -> ConfiguredInferModel:
        """Bring it onto the chip; a HEF for another chip is refused here."""
        ...


GENERATING = "GENERATING"
"""The `generation_status` of an answer that is not at its end."""


class Completion(Protocol):
    """A text that is being generated; release it before its VLM."""

    @property
    def generation_status(self) -> Any:
        """`LLMGeneratorCompletionStatus` of the chunk that was read last; its `name` tells."""
        ...

    def read(self, timeout_ms: int = 10000) -> str:
        """The next chunk of text, possibly empty."""
        ...

    def release(self) -> None:
        """End it; aborts what is still generated."""
        ...


class VLM(Protocol):
    """A vision language model on the chip; only one exists at a time."""

    def generate(self, prompt: Any, frames: list[NDArray[np.uint8]], **parameters: Any) -> Completion:
        """Begin an answer; everything after `frames` goes by keyword."""
        ...

    def tokenize(self, text: str) -> list[int]:
        """Token ids of a text."""
        ...

    def prompt_template(self) -> str:
        """The chat template that the HEF carries."""
        ...

    def get_context_usage_size(self) -> int:
        """Tokens in the cache."""
        ...

    def max_context_capacity(self) -> int:
        """Tokens that fit."""
        ...

    def clear_context(self) -> None:
        """Forget the conversation."""
        ...

    def input_frame_shape(self) -> Sequence[int]:
        """(height, width, channels) of a frame."""
        ...

    def input_frame_format_type(self) -> Any:
        """numpy's type of a frame's numbers."""
        ...

    def input_frame_size(self) -> int:
        """Bytes of a frame."""
        ...

    def get_stop_tokens(self) -> list[str]:
        """Texts that end an answer."""
        ...

    def set_stop_tokens(self, stop_tokens: list[str]) -> None:
        """Replace them."""
        ...

    def release(self) -> None:
        """Take the model off the chip. May be called twice."""
        ...


class Released(Protocol):
    """What is given back by name: a device, a VDevice, a model."""

    def release(self) -> None:
        """Give it back. May be called twice."""
        ...


class VDevice(Protocol):
    """The chip, opened."""

    def create_infer_model(self, hef_source: str, name: str = "") -> InferModel:
        """Read a HEF."""
        ...

    def release(self) -> None:
        """Give the chip back. May be called twice."""
        ...


Temperatures = tuple[float, float]
"""Both sensors of the chip, in degrees Celsius."""
