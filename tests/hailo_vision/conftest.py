"""Loaded engines, shared by the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from hailo_vision.onnx.engine import OnnxVisionEngine, make_onnx_engine
from tests.hailo_florence.cases import with_settings
from tests.hailo_vision.conversations import FOLDERS

Load = Callable[..., OnnxVisionEngine]


@pytest.fixture(scope="session", params=list(FOLDERS))
def folder(request: pytest.FixtureRequest) -> Path:
    """Each of the random models in turn."""
    return FOLDERS[request.param]


@pytest.fixture(scope="session")
def load() -> Iterator[Load]:
    """Loads an engine; equal calls share one."""
    loaded: dict[str, OnnxVisionEngine] = {}
    with ExitStack() as stack:

        def load_engine(folder: Path, **options: Any) -> OnnxVisionEngine:
            key = f"{folder} {options}"
            if key not in loaded:
                made = make_onnx_engine({"model_dir": str(folder), "threads": 1, **options})
                engine = loaded[key] = stack.enter_context(made)
                engine.load()
            return loaded[key]

        yield load_engine


@pytest.fixture(scope="session")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random-a with one end of an answer, which it seldom chooses."""
    return with_settings(FOLDERS["random-a"], tmp_path_factory.mktemp("endless"), {"eos_token_id": 334})


@pytest.fixture
def engine(load: Load, endless: Path) -> OnnxVisionEngine:
    """A loaded engine without caches whose answers are as long as allowed."""
    return load(endless, conversation_cache_mb=0, picture_cache_mb=0)
