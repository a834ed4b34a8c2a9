"""What an engine is: a plain class that loads models, runs one request at a time, and closes.

An engine knows no asyncio, no HTTP and no configuration object; its arguments are plain values and paths.
Everything that crosses the process border, other than pictures, is JSON.
numpy is named for type checkers only: the HTTP process imports this module and must stay small.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RgbImage: TypeAlias = "NDArray[np.uint8]"
"""A decoded picture: (height, width, 3), RGB, read-only, in shared memory."""

Event = dict[str, Any]
"""What an engine tells while it works, at least once a decoder step: `{"token": int}`, or `{"text": str}`
where text is streamed, after `{"started": {...}}`. Exactly one `{"result": {...}}` is the last event."""


class Engine(Protocol):
    """One model on one backend, owned by the engine process."""

    def load(self) -> dict[str, Any]:
        """Open the device and load the model; returns what the parent may know.

        Keys: `model` (name), `description`, `demo` (bool), `stages` (list of `{"name", "backend",
        "reason"}`), `picture` (a `hailo_common.images.resize.Target` as a dict), `limits` and `capabilities`
        (the engine's own).
        Raises ModelMissing for files that may still come, ModelError for a folder that can never load,
        DeviceLost when the device cannot be opened.
        """
        ...

    def run(self, request: Mapping[str, Any], images: Sequence[RgbImage]) -> Iterator[Event]:
        """Work on one request, yielding events; closing the iterator cancels it.

        Raises a `ServiceError` for what the client can mend; anything else is an inference failure.
        """
        ...

    def close(self) -> None:
        """Release models and device. May be called twice."""
        ...


class HasVitals(Protocol):
    """What an engine with a device may offer besides."""

    def vitals(self) -> dict[str, Any]:
        """Readings of the device, asked for between requests: `chip_temperature_c` (list of °C), if known."""
        ...
