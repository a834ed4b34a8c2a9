"""Fake engines for every test of what stands around an engine. They run in the real engine process."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from hailo_common.engine.contract import EngineInfo, Event, RgbImage, StageInfo
from hailo_common.errors import DeviceLost, InvalidParameter, ModelError, ModelMissing
from hailo_common.images.resize import ResizeSpec
from hailo_florence.protocol import FlorenceResult

LOAD_ERRORS = {"missing": ModelMissing, "corrupt": ModelError, "device": DeviceLost, "bug": KeyError}


class Order(dict[str, Any]):
    """An engine request that is any JSON object."""

    def owned_by(self, owner: str) -> Self:
        """With the owner as one of its fields."""
        return type(self)({**self, "owner": owner})

    def to_json(self) -> dict[str, Any]:
        """Itself."""
        return self

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(value)


@dataclass(frozen=True, kw_only=True)
class FakeResult(FlorenceResult):
    """As hailo-florence's, with the engine's process id."""

    pid: int


def make_engine(options: Mapping[str, Any]) -> FakeEngine:
    """The factory that the supervisor names as `tests.fakes:make_engine`."""
    return FakeEngine(options)


class FakeEngine:
    """Does what its options and each request say: slow, failing, dying, hanging, counting."""

    request_type: ClassVar[type[Any]] = Order

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options

    def load(self) -> EngineInfo:
        """Sleep `load_s`, then fail with `load_error` unless the file `healed` exists."""
        time.sleep(self.options.get("load_s", 0))
        error = self.options.get("load_error")
        if error == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if error and not self._healed():
            raise LOAD_ERRORS[error](f"a {error} model")
        return EngineInfo(
            model="fake",
            description="a fake engine",
            stages=(StageInfo("all", self.options.get("backend", "fake"), "a test"),),
            resize=ResizeSpec(8, 8),
            limits={},
            capabilities={"caption": True, "vqa": self.options.get("vqa", True)},
        )

    def _healed(self) -> bool:
        """Whether the file is there that ends the fault, in the model's folder or at an absolute path."""
        return Path(self.options.get("model_dir", "/"), self.options.get("healed", "/nonexistent")).exists()

    def run(self, request: Any, images: Sequence[RgbImage]) -> Iterator[Event]:
        """`steps` tokens, `step_s` apart, after doing what `act` says."""
        self._act(request.get("act") or self.options.get("act", ""))
        steps = request.get("steps", 3)
        for token in range(steps):
            time.sleep(request.get("step_s", self.options.get("step_s", 0)))
            yield str(token)
        total = sum(int(image.sum()) for image in images)
        yield FakeResult(
            text=f"sum {total}",
            finish_reason="stop",
            completion_tokens=steps,
            vision_seconds=0.0,
            encoder_seconds=0.0,
            decode_seconds=0.0,
            pid=os.getpid(),
        )

    def _act(self, act: str) -> None:
        if act == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        elif act == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        elif act == "raise":
            raise RuntimeError("secret detail")
        elif act == "refuse":
            raise InvalidParameter("too long", param="question", code="context_length_exceeded")
        elif act == "lose":
            raise DeviceLost("the device went away")

    def vitals(self) -> dict[str, Any]:
        """Readings that take `vitals_s`, as of a slow device; where the file `lost` is, it went away."""
        lost = Path(self.options.get("lost", "/nonexistent"))
        if lost.exists():
            lost.unlink()
            raise DeviceLost("the device went away", code="device_gone")
        time.sleep(self.options.get("vitals_s", 0))
        return {"chip_temperature_c": [40.0]} if "vitals_s" in self.options else {}

    def close(self) -> None:
        """Write the mark that tests look for."""
        mark = self.options.get("closed_mark")
        if mark:
            with Path(mark).open("a") as file:
                file.write("closed\n")


def make_concurrent(options: Mapping[str, Any]) -> FakeConcurrent:
    """The factory that the supervisor names as `tests.fakes:make_concurrent`."""
    return FakeConcurrent(options)


class FakeConcurrent(FakeEngine):
    """`parallel` requests at once, each one step at a time; `step_s` is slept once for all of them."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self._runs: dict[int, Iterator[Event]] = {}

    def load(self) -> EngineInfo:
        """As `FakeEngine.load`, for several requests."""
        return replace(super().load(), parallel=self.options.get("parallel", 2))

    def begin(self, number: int, request: Any, images: Sequence[RgbImage]) -> None:
        """See `ConcurrentEngine.begin`."""
        if len(self._runs) >= self.options.get("parallel", 2):
            raise RuntimeError("more requests than were offered")
        if request.get("act") == "refuse":
            raise InvalidParameter("too long", param="question", code="context_length_exceeded")
        self._runs[number] = self.run(request | {"step_s": 0}, images)

    def advance(self) -> Sequence[tuple[int, Event | Exception]]:
        """See `ConcurrentEngine.advance`."""
        time.sleep(self.options.get("step_s", 0.01))
        told: list[tuple[int, Event | Exception]] = []
        for number in list(self._runs):
            try:
                event: Event | Exception = next(self._runs[number])
            except Exception as error:
                event = error
            if isinstance(event, (FakeResult, Exception)):
                del self._runs[number]
            told.append((number, event))
        return told

    def cancel(self, number: int, /) -> None:
        """See `ConcurrentEngine.cancel`; `stubborn` engines take their time."""
        time.sleep(self.options.get("stubborn_s", 0))
        del self._runs[number]
