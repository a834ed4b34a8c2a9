"""The demo model as GGUF files, made once a run, and engines over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hailo_common.engine.contract import EngineStarted, RgbImage
from hailo_vision.config import VisionSettings
from hailo_vision.gguf.engine import GgufEngine, make_gguf_engine
from hailo_vision.gguf.library import find_library
from hailo_vision.protocol import VisionRequest, VisionResult
from tests.hailo_vision.conversations import DEMO

if find_library() is None:
    pytest.skip("llama.cpp is not installed", allow_module_level=True)
pytest.importorskip("gguf")
pytest.importorskip("onnx")

from tools.gguf_export.__main__ import convert


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo model's own weights, in float32."""
    folder = tmp_path_factory.mktemp("gguf") / "demo"
    convert(DEMO, folder)
    return folder


@dataclass
class Asked:
    """What came of one request."""

    started: EngineStarted | None = None
    texts: list[str] = field(default_factory=list)
    result: VisionResult | None = None
    error: Exception | None = None

    @property
    def done(self) -> bool:
        """True when nothing more comes."""
        return self.result is not None or self.error is not None

    @property
    def answer(self) -> VisionResult:
        """The result; raises the error where it came to that."""
        if self.error is not None:
            raise self.error
        assert self.result is not None
        return self.result


class Talk:
    """Asks an engine, one or several things at once."""

    def __init__(self, engine: GgufEngine) -> None:
        self.engine = engine
        self.open: dict[int, Asked] = {}
        self._number = 100

    def begin(self, request: VisionRequest, images: Sequence[RgbImage] = ()) -> int:
        """Give it a request; its number."""
        self._number += 1
        self.engine.begin(self._number, request, images)
        self.open[self._number] = Asked()
        return self._number

    def step(self) -> None:
        """One step for all."""
        for number, event in self.engine.advance():
            asked = self.open[number]
            if isinstance(event, EngineStarted):
                asked.started = event
            elif isinstance(event, str):
                asked.texts.append(event)
            elif isinstance(event, Exception):
                asked.error = event
            else:
                assert isinstance(event, VisionResult)
                asked.result = event

    def finish(self, *numbers: int) -> list[VisionResult]:
        """Work until these are answered."""
        for _ in range(20_000):
            if all(self.open[number].done for number in numbers):
                return [self.open[number].answer for number in numbers]
            self.step()
        raise AssertionError("no answer")

    def ask(self, request: VisionRequest, images: Sequence[RgbImage] = ()) -> VisionResult:
        """The answer to one request."""
        return self.finish(self.begin(request, images))[0]


Load = Callable[..., Talk]


@pytest.fixture(scope="session")
def load() -> Iterator[Load]:
    """Loads an engine; equal calls share one."""
    loaded: dict[str, Talk] = {}
    with ExitStack() as stack:

        def load_engine(folder: Path, **options: Any) -> Talk:
            key = f"{folder} {options}"
            if key not in loaded:
                usual = {**VisionSettings().engine_options(), "threads": 1}
                engine = stack.enter_context(make_gguf_engine({**usual, "model_dir": str(folder), **options}))
                engine.load()
                loaded[key] = Talk(engine)
            return loaded[key]

        yield load_engine


@pytest.fixture
def talk(load: Load, demo: Path) -> Talk:
    """The demo model for two conversations at once, without a memory of earlier ones."""
    return load(demo, max_num_seqs=2, conversation_cache_mb=0, picture_cache_mb=0)
