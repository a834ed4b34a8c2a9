"""What a load or a request takes of memory, told before it starts, and what is left for caches.

A request is measured against what the engine held when it was loaded, not against what it holds now: so the
same request is always answered or always refused, and what ONNX Runtime keeps for the next one is not counted
twice.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hailo_common.errors import InvalidParameter, ModelError
from hailo_common.inference.backend import graph_size
from hailo_common.systemd.memory import anonymous_bytes, give_back

_MB = 1 << 20
_OTHERS = 128 * _MB  # the HTTP process and the image decoder
_RUNTIME = 160 * _MB  # Python, ONNX Runtime, tokenizer, grammar
_WIDENED = 2  # ONNX Runtime computes in fp32 on a CPU, and widens weights of 16 bits when it loads them
_PRESSURE = 0.9  # of the limit: caches go


class Cache(Protocol):
    """What can give way."""

    @property
    def held(self) -> int:
        """Bytes in use."""
        ...

    def shrink(self, nbytes: int) -> None:
        """Forget what was not used for longest, until `nbytes` are in use."""
        ...


def check_load(files: Sequence[Path], limit: int) -> None:
    """Raise ModelError when the weights in `files` do not fit into `limit` bytes, 0 for no limit."""
    weights = sum(graph_size(file) * (_WIDENED if "fp16" in file.stem else 1) for file in files)
    needed = weights + _RUNTIME + _OTHERS
    if limit and needed > limit:
        raise ModelError(
            f"{files[0].parent}: this model takes about {needed // _MB} MiB of memory,"
            f" {weights // _MB} of them its weights, and the service may use {limit // _MB}: raise"
            " memory_max_mb, or choose a smaller model"
        )


@dataclass(frozen=True)
class Need:
    """Bytes that one request takes beside the model: `context` tokens read and written, its largest image."""

    context: int
    context_bytes: int
    image: int
    image_bytes: int

    @property
    def total(self) -> int:
        """All of it: an image is encoded before its conversation is read, but what it took is kept."""
        return self.context_bytes + self.image_bytes


class MemoryGuard:
    """The limit, and what the loaded engine holds of it; `limit` 0 is none."""

    def __init__(
        self, limit: int, caches: Sequence[Cache], measure: Callable[[], int] = anonymous_bytes
    ) -> None:
        """`measure` says what this process holds; it is asked at once, when only the model is loaded."""
        self._limit = limit
        self._caches = caches
        self._measure = measure
        self._model = measure() + _OTHERS

    def room(self, nbytes: int) -> int:
        """Bytes that remain beside the model and `nbytes`; caches can give way for them."""
        return self._limit - self._model - nbytes if self._limit else sys.maxsize

    def admit(self, need: Need) -> None:
        """Make room for a request; raises InvalidParameter when all memory is not enough for it.

        Caches give way: to what the request is known to take, and when memory is nearly used up after all.
        """
        if not self._limit:
            return
        room = self.room(need.total)
        if room < 0:
            raise self._refusal(need)
        if not any(cache.held for cache in self._caches):
            return
        pressed = self._measure() + _OTHERS > _PRESSURE * self._limit
        for cache in self._caches:
            cache.shrink(0 if pressed else room)
            room -= cache.held
        if pressed:
            give_back()

    def _refusal(self, need: Need) -> InvalidParameter:
        image = f" and {need.image_bytes // _MB} for an image of {need.image}" if need.image else ""
        return InvalidParameter(
            f"This request takes about {need.context_bytes // _MB} MiB of memory for {need.context}"
            f" tokens{image}, beside {self._model // _MB} for the model, and the service may use"
            f" {self._limit // _MB}. Shorten the conversation or send smaller images.",
            code="memory_exceeded",
            param="messages",
        )
