"""The real service on a simulated machine, and the same questions for service and CPU engine."""

from __future__ import annotations

import contextlib
import io
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from hailo_common.engine.contract import RgbImage
from hailo_common.images.resize import ResizeSpec
from hailo_vision.onnx.engine import OnnxVisionEngine
from tests.hailo_florence.api.conftest import data_uri
from tests.hailo_florence.api.running import Running, started
from tests.hailo_vision.conversations import decoded, scene_image
from tests.hailo_vision.talk import ask, question
from tests.npu import Machine

SIDE = 128
FRAME = ResizeSpec(SIDE, SIDE, fit="letterbox")
DESCRIBE = "Describe the image."
CHAT = "/v1/chat/completions"


@dataclass
class Npu:
    """A running service and its machine."""

    service: Running
    machine: Machine

    def post(self, messages: Sequence[Any], **more: Any) -> httpx.Response:
        """The answer to a chat request."""
        return self.service.client.post(CHAT, json=body(messages, **more))

    def describe(self, number: int, **more: Any) -> httpx.Response:
        """The answer to a question about scene `number`."""
        return self.post([user(scene(number), DESCRIBE)], **more)

    def until_ready(self, seconds: float = 60.0) -> None:
        """Wait until the engine answers again."""
        self.service.until_ready(seconds)


@contextlib.contextmanager
def serving(machine: Machine, model: Path, *, ready: bool = True, **settings: Any) -> Iterator[Npu]:
    """Run hailo-vision on the machine with these settings."""
    values = {
        "model_dir": str(model),
        "backend": "npu",
        "device_timeout_s": 2,
        "log_level": "info",
        **settings,
    }
    config = machine.state.parent / f"config-{time.monotonic_ns()}.yaml"
    config.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in values.items()))
    arguments = ("hailo_vision", "--config", str(config))
    with started(arguments, ready=ready, **machine.environ) as running:
        yield Npu(running, machine)
        if running.popen.poll() is None:
            running.stop()


class OnDemand:
    """One service for each version of HailoRT, begun by the first test that asks for it."""

    def __init__(self, begin: Callable[[str], AbstractContextManager[Npu]]) -> None:
        """`begin` starts the one of a version."""
        self._begin = begin
        self._running: dict[str, Npu] = {}
        self._stack = contextlib.ExitStack()

    def __getitem__(self, version: str) -> Npu:
        if version not in self._running:
            self._running[version] = self._stack.enter_context(self._begin(version))
        return self._running[version]

    def __enter__(self) -> OnDemand:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()


def scene(number: int, size: tuple[int, int] = (SIDE, SIDE)) -> Image.Image:
    """A held-out scene of the demo model."""
    return scene_image((*size, number))


def user(*parts: str | Image.Image) -> dict[str, Any]:
    """A message of texts and pictures."""
    return {"role": "user", "content": [_part(part) for part in parts]}


def _part(part: str | Image.Image) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    file = io.BytesIO()
    part.save(file, "PNG")
    return {"type": "image_url", "image_url": {"url": data_uri(file.getvalue(), "png")}}


def body(messages: Sequence[Any], **more: Any) -> dict[str, Any]:
    """A chat request."""
    return {"model": "qwen2-vl-2b-instruct", "messages": list(messages), "max_tokens": 64, **more}


def content(reply: httpx.Response) -> str:
    """The text of an answer."""
    assert reply.status_code == 200, reply.text
    return str(reply.json()["choices"][0]["message"]["content"])


def frame(image: Image.Image) -> RgbImage:
    """A picture as both engines may get it."""
    return decoded(image, FRAME.to_json())


def truth(cpu: OnnxVisionEngine, number: int) -> str:
    """What the CPU says of a scene."""
    return str(ask(cpu, question(0, DESCRIBE, max_tokens=64), frame(scene(number)))["text"])


def error_of(reply: httpx.Response) -> dict[str, Any]:
    """The error of an answer."""
    return dict(reply.json()["error"])
