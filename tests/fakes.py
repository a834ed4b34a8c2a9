"""Fake engines for every test of what stands around an engine. They run in the real engine process."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from hailo_common.engine.contract import EngineInfo, Event, RgbImage, StageInfo
from hailo_common.errors import DeviceLost, InvalidParameter, ModelError, ModelMissing
from hailo_common.images.resize import ResizeSpec
from hailo_florence.protocol import FlorenceResult

LOAD_ERRORS = {"missing": ModelMissing, "corrupt": ModelError, "device": DeviceLost, "bug": KeyError}


class Order(dict[str, Any]):
    """An engine request that is any JSON object."""

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
        if error and not Path(self.options.get("healed", "/nonexistent")).exists():
            raise LOAD_ERRORS[error](f"a {error} model")
        return EngineInfo(
            model="fake",
            description="a fake engine",
            stages=(StageInfo("all", "fake", "a test"),),
            resize=ResizeSpec(8, 8),
            limits={},
            capabilities={"caption": True, "vqa": self.options.get("vqa", True)},
        )

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

    def close(self) -> None:
        """Write the mark that tests look for."""
        mark = self.options.get("closed_mark")
        if mark:
            with Path(mark).open("a") as file:
                file.write("closed\n")
