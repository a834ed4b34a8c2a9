"""What an engine is, and what crosses between it and the HTTP process: information, requests, results.

An engine is a plain class that loads models, runs one request at a time, and closes. It knows no asyncio, no
HTTP and no configuration object. Everything that crosses the process border, other than images, is one of the
dataclasses here or in a service's `protocol`, as JSON. numpy is named for type checkers only: the HTTP
process imports this module and must stay small.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias

from hailo_common.images.resize import ResizeSpec
from hailo_common.owner import EVERYBODY

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RgbImage: TypeAlias = "NDArray[np.uint8]"
"""A decoded image: (height, width, 3), RGB, read-only, in shared memory."""


@dataclass(frozen=True)
class StageInfo:
    """One stage of a model: what it runs on and why. `fell_back`: it should run on the NPU and does not."""

    name: str
    backend: str
    reason: str
    fell_back: bool = False

    def to_json(self) -> dict[str, Any]:
        """As `/health` shows it."""
        row = {"name": self.name, "backend": self.backend, "reason": self.reason}
        return {**row, "fell_back": True} if self.fell_back else row


@dataclass(frozen=True, kw_only=True)
class EngineInfo:
    """What a loaded engine says of itself.

    `resize` is what the model wants an image to be. `limits` and `capabilities` are the engine's own;
    `fingerprint` is one of the model's files.
    """

    model: str
    description: str = ""
    demo: bool = False
    fingerprint: str | None = None
    stages: tuple[StageInfo, ...] = ()
    resize: ResizeSpec
    limits: Mapping[str, int]
    capabilities: Mapping[str, bool]
    parallel: int = 1
    """Requests that it works on at once; more than 1 only from a `ConcurrentEngine`."""

    def to_json(self) -> dict[str, Any]:
        """The same as a JSON object."""
        return {
            **vars(self),
            "stages": [stage.to_json() for stage in self.stages],
            "resize": self.resize.to_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> EngineInfo:
        """The inverse of `to_json`."""
        stages = tuple(StageInfo(**stage) for stage in value["stages"])
        return cls(**{**value, "stages": stages, "resize": ResizeSpec.from_json(value["resize"])})


class EngineRequest(Protocol):
    """What one request asks of the engine. The HTTP process has checked every field; nobody checks again."""

    def owned_by(self, owner: str) -> Self:
        """The same request of that owner; the queue sets it, whoever made the request."""
        ...

    def to_json(self) -> dict[str, Any]:
        """The same as a JSON object."""
        ...

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """The inverse of `to_json`."""
        ...


@dataclass(frozen=True, kw_only=True)
class OwnedRequest:
    """What every service's `EngineRequest` begins with.

    An engine may use again what requests of the same `owner` left behind, and nothing of another's: neither
    an answer, nor a count, nor the time it takes may tell what others asked.
    """

    owner: str = EVERYBODY

    def owned_by(self, owner: str) -> Self:
        """See `EngineRequest.owned_by`."""
        return replace(self, owner=owner)


@dataclass(frozen=True, kw_only=True)
class EngineStarted:
    """What is known when the engine begins with a prompt: its tokens, and what had to be left out of it.

    `loose` where it cannot hold the answer to all of the form that is asked for.
    """

    prompt_tokens: int
    image_tokens: int
    cached_tokens: int
    dropped_messages: int
    max_tokens: int
    loose: bool = False


@dataclass(frozen=True, kw_only=True)
class EngineResult:
    """The end of an answer. `finish_reason` is "stop" or "length"; the child sets `seconds` of the run.

    `load_seconds` is how long the request waited for the model to be loaded, which only the parent knows.
    """

    text: str
    finish_reason: str
    seconds: float = 0.0
    load_seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The same as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; fields of another kind of result are left out."""
        return cls(**{field.name: value[field.name] for field in fields(cls)})


Event: TypeAlias = "EngineStarted | str | int | EngineResult"
"""What an engine tells while it works, at least once a decoder step: an `EngineStarted` where it has one,
pieces of text ("" where there is nothing to show) or the tokens of an answer that is not streamed, and
exactly one result as the last."""


class Engine(Protocol):
    """One model on one backend, owned by the engine process."""

    @property
    def request_type(self) -> type[EngineRequest]:
        """What `run` takes."""
        ...

    def load(self) -> EngineInfo:
        """Open the device and load the model; returns what the parent may know.

        Raises ModelMissing for files that may still come, ModelError for a folder that can never load,
        DeviceLost when the device cannot be opened.
        """
        ...

    def run(self, request: Any, images: Sequence[RgbImage]) -> Iterator[Event]:
        """Work on one request of `request_type`, yielding events; closing the iterator cancels it.

        Raises a `ServiceError` for what the client can mend; anything else is an inference failure.
        """
        ...

    def close(self) -> None:
        """Release models and device. May be called twice."""
        ...


class ConcurrentEngine(Protocol):
    """An engine that works on `EngineInfo.parallel` requests at once; `run` is not called then.

    Each call of `advance` is one step for all of them, so that a request joins or leaves between two tokens.
    """

    @property
    def request_type(self) -> type[EngineRequest]:
        """What `begin` takes."""
        ...

    def load(self) -> EngineInfo:
        """See `Engine.load`."""
        ...

    def begin(self, number: int, request: Any, images: Sequence[RgbImage]) -> None:
        """Take a request, known by `number` from now on; raises as `Engine.run`."""
        ...

    def advance(self) -> Sequence[tuple[int, Event | Exception]]:
        """Work for a moment; what came of it, by request. A result or an error is a request's last.

        Returns within about a second, with nothing where nothing has come. What it raises is of all requests.
        """
        ...

    def cancel(self, number: int, /) -> None:
        """Give up a request; it is not heard of again."""
        ...

    def close(self) -> None:
        """See `Engine.close`."""
        ...


class HasChosen(Protocol):
    """What a factory may make instead: something that chooses its engine while it loads."""

    @property
    def chosen(self) -> Engine | ConcurrentEngine:
        """The engine that takes the requests; known after `load`."""
        ...

    def load(self) -> EngineInfo:
        """See `Engine.load`."""
        ...

    def close(self) -> None:
        """See `Engine.close`."""
        ...


class HasVitals(Protocol):
    """What an engine with a device may offer besides."""

    def vitals(self) -> dict[str, Any]:
        """Readings of the device, asked for between requests: `chip_temperature_c` (list of °C), if known.

        Raises DeviceLost where the model is found gone from it: the engine is replaced before it is needed.
        """
        ...
