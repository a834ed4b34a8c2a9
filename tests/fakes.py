"""Fake engines for every test of what stands around an engine. They run in the real engine process."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hailo_common.engine.contract import Event, RgbImage
from hailo_common.errors import DeviceLost, InvalidParameter, ModelError, ModelMissing

LOAD_ERRORS = {"missing": ModelMissing, "corrupt": ModelError, "device": DeviceLost, "bug": KeyError}


def make_engine(options: Mapping[str, Any]) -> FakeEngine:
    """The factory that the supervisor names as `tests.fakes:make_engine`."""
    return FakeEngine(options)


class FakeEngine:
    """Does what its options and each request say: slow, failing, dying, hanging, counting."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options

    def load(self) -> dict[str, Any]:
        """Sleep `load_s`, then fail with `load_error` unless the file `healed` exists."""
        time.sleep(self.options.get("load_s", 0))
        error = self.options.get("load_error")
        if error and not Path(self.options.get("healed", "/nonexistent")).exists():
            raise LOAD_ERRORS[error](f"a {error} model")
        return {
            "model": "fake",
            "description": "a fake engine",
            "demo": False,
            "stages": [{"name": "all", "backend": "fake", "reason": "a test"}],
            "picture": {"width": 8, "height": 8},
            "limits": {},
            "capabilities": {"caption": True, "vqa": self.options.get("vqa", True)},
        }

    def run(self, request: Mapping[str, Any], images: Sequence[RgbImage]) -> Iterator[Event]:
        """`steps` tokens, `step_s` apart, after doing what `act` says."""
        self._act(request.get("act") or self.options.get("act", ""))
        steps = request.get("steps", 3)
        for token in range(steps):
            time.sleep(request.get("step_s", self.options.get("step_s", 0)))
            yield {"token": token}
        total = sum(int(image.sum()) for image in images)
        yield {
            "result": {
                "text": f"sum {total}",
                "token_count": steps,
                "finish_reason": "stop",
                "pid": os.getpid(),
            }
        }

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
