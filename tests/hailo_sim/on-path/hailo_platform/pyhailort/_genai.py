"""`VLM` and `LLMGeneratorCompletion`. In 5.1.1 `generate` has no `videos`, so others stand in its place."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from hailo_chip.answer import Answer
from hailo_chip.enums import FormatOrder, LLMGeneratorCompletionStatus
from hailo_chip.settings import is_old, since
from hailo_chip.vlm import NativeVLM

from hailo_platform.pyhailort._devices import VDevice
from hailo_platform.pyhailort._exceptions import ExceptionWrapper, HailoRTException


class LLMGeneratorCompletion:
    """An answer in the making: read it, or iterate, and release it before its model."""

    def __init__(self, generator_completion: Answer) -> None:
        self._generator_completion: Answer | None = generator_completion

    def release(self) -> None:
        """End it; blocks for what is in flight. May be called twice. Raises raw exceptions."""
        if self._generator_completion is not None:
            self._generator_completion.release()
            self._generator_completion = None

    def __enter__(self) -> LLMGeneratorCompletion:
        return self

    def __exit__(self, *args: object) -> None:
        self.release()

    @property
    def _native(self) -> Any:
        """None once released, whose use raises AttributeError, as in the real package."""
        return self._generator_completion

    @property
    def generation_status(self) -> LLMGeneratorCompletionStatus:
        """The status of the chunk that was read last."""
        status: LLMGeneratorCompletionStatus = self._native.status
        return status

    def read(self, timeout_ms: int = 10000) -> str:
        """The next chunk; may be empty."""
        with ExceptionWrapper():
            text: str = self._native.read(_milliseconds(timeout_ms))
        return text

    if since("5.3.0"):

        def read_all(self, timeout_ms: int) -> str:
            """All chunks that are left (from 5.3.0)."""
            return self._read_all(timeout_ms)

    else:

        def read_all(self, timeout_ms: int = 10000) -> str:  # type: ignore[misc]  # as the releases differ
            """All chunks that are left."""
            return self._read_all(timeout_ms)

    def _read_all(self, timeout_ms: int) -> str:
        with ExceptionWrapper():
            text: str = self._native.read_all(_milliseconds(timeout_ms))
        return text

    def __iter__(self) -> LLMGeneratorCompletion:
        return self

    def __next__(self) -> str:
        if self.generation_status is not LLMGeneratorCompletionStatus.GENERATING:
            raise StopIteration
        return self.read()


class VLM:
    """A vision language model on the chip."""

    def __init__(self, vdevice: VDevice, model_path: str, optimize_memory_on_device: bool = False) -> None:
        """Raises raw exceptions."""
        self._vlm: NativeVLM | None = None
        self._vlm = NativeVLM(vdevice._vdevice, model_path, optimize_memory_on_device)

    def release(self) -> None:
        """Take the model off the chip; may be called twice. Raises raw exceptions."""
        if self._vlm is not None:
            self._vlm.release()
            self._vlm = None

    def __enter__(self) -> VLM:
        return self

    def __exit__(self, *args: object) -> None:
        self.release()

    @property
    def _native(self) -> Any:
        """None once released, whose use raises AttributeError, as in the real package."""
        return self._vlm

    if TYPE_CHECKING:  # programs must pass what follows `frames` by name

        def generate(self, prompt: Any, frames: Any, **parameters: Any) -> LLMGeneratorCompletion:
            """Begin an answer."""
            ...

    elif is_old():

        def generate(  # noqa: PLR0917 - as the real one
            self,
            prompt: Any,
            frames: Any,
            temperature: Any = None,
            top_p: Any = None,
            top_k: Any = None,
            frequency_penalty: Any = None,
            max_generated_tokens: Any = None,
            do_sample: Any = None,
            seed: Any = None,
        ) -> LLMGeneratorCompletion:
            """Begin an answer (5.1.1)."""
            chosen = (temperature, top_p, top_k, frequency_penalty, max_generated_tokens, do_sample, seed)
            return self._generate(prompt, frames, None, chosen)

    else:

        def generate(  # noqa: PLR0917 - as the real one
            self,
            prompt: Any,
            frames: Any,
            videos: Any = None,
            temperature: Any = None,
            top_p: Any = None,
            top_k: Any = None,
            frequency_penalty: Any = None,
            max_generated_tokens: Any = None,
            do_sample: Any = None,
            seed: Any = None,
        ) -> LLMGeneratorCompletion:
            """Begin an answer (5.2.0)."""
            chosen = (temperature, top_p, top_k, frequency_penalty, max_generated_tokens, do_sample, seed)
            return self._generate(prompt, frames, videos, chosen)

    def _generate(
        self, prompt: Any, frames: Any, videos: Any, chosen: tuple[Any, ...]
    ) -> LLMGeneratorCompletion:
        if not isinstance(prompt, str):
            prompt = _messages(prompt)
        _check_frames(frames)
        if not isinstance(videos or [], list):
            raise HailoRTException("videos must be a list of lists of numpy arrays")
        for video in videos or []:
            _check_frames(video)
        native = self._native
        with ExceptionWrapper():
            params = native.params()
            for name, value in zip(_PARAMETERS, chosen, strict=True):
                if value is not None:
                    setattr(params, name, value)
            return LLMGeneratorCompletion(native.generate(params, prompt, frames, videos or []))

    def tokenize(self, text: str) -> list[int]:
        """Token ids of a text."""
        with ExceptionWrapper():
            self._native.request("VLM.tokenize")
            ids: list[int] = self._native.words.encode(text)
        return ids

    def get_context_usage_size(self) -> int:
        """Tokens read and waiting."""
        with ExceptionWrapper():
            return int(self._native.usage())

    def max_context_capacity(self) -> int:
        """Tokens that fit."""
        with ExceptionWrapper():
            self._native.request("VLM.max_context_capacity")
            return int(self._native.brain.context)

    def clear_context(self) -> None:
        """Forget the conversation."""
        with ExceptionWrapper():
            self._native.clear()

    def prompt_template(self) -> str:
        """The chat template."""
        return str(self._native.template.source)

    def get_generation_recovery_sequence(self) -> str:
        """What follows an answer that was cut."""
        with ExceptionWrapper():
            self._native.request("VLM.get_generation_recovery_sequence")
            return str(self._native.words.decode(self._native.recovery))

    def set_generation_recovery_sequence(self, sequence: str) -> None:
        """Replace it; "" is none."""
        with ExceptionWrapper():
            self._native.request("VLM.set_generation_recovery_sequence")
            self._native.recovery = self._native.words.encode(sequence)

    def get_stop_tokens(self) -> list[str]:
        """Texts that end an answer."""
        with ExceptionWrapper():
            self._native.request("VLM.get_stop_tokens")
            return [self._native.words.decode(ids) for ids in self._native.stops]

    def set_stop_tokens(self, stop_tokens: list[str]) -> None:
        """Replace them; an empty list leaves only the token limit."""
        with ExceptionWrapper():
            self._native.request("VLM.set_stop_tokens")
            encoded = [self._native.words.encode(text) for text in stop_tokens]
            self._native.stops = [ids for ids in encoded if ids]

    def input_frame_size(self) -> int:
        """Bytes of a frame."""
        return int(np.prod(self._native.brain.frame))

    def input_frame_shape(self) -> list[int]:
        """(height, width, channels) of a frame."""
        return list(self._native.brain.frame)

    def input_frame_format_type(self) -> np.dtype[np.uint8]:
        """numpy's type of a frame's numbers."""
        dtype: np.dtype[np.uint8] = self._native.frame_type
        return dtype

    def input_frame_format_order(self) -> FormatOrder:
        """How a frame's dimensions are ordered."""
        order: FormatOrder = self._native.frame_order
        return order


_PARAMETERS = (
    *("temperature", "top_p", "top_k", "frequency_penalty", "max_generated_tokens", "do_sample", "seed"),
)


def _messages(prompt: Any) -> list[str]:
    if prompt is None:
        return []
    if not isinstance(prompt, list) or not all(isinstance(item, dict) for item in prompt):
        raise HailoRTException("prompt must be a list of dicts")
    return [json.dumps(item) for item in prompt]


def _check_frames(frames: Any) -> None:
    if not isinstance(frames, list):
        raise HailoRTException("frames must be a list of numpy arrays")
    for frame in frames:
        if not hasattr(frame, "dtype") or not hasattr(frame, "nbytes"):
            raise HailoRTException("each frame must be a numpy array")


def _milliseconds(timeout_ms: Any) -> float:
    if isinstance(timeout_ms, bool) or not isinstance(timeout_ms, (int, np.integer)) or timeout_ms < 0:
        raise TypeError("read(): incompatible function arguments")
    return int(timeout_ms) / 1000
