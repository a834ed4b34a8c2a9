"""Model folders and loaded engines, shared by the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from hailo_florence.engine import FlorenceEngine, make_engine
from tests.hailo_florence.cases import FOLDERS, with_settings

Load = Callable[..., FlorenceEngine]


@pytest.fixture(scope="session", params=list(FOLDERS))
def folder(request: pytest.FixtureRequest) -> Path:
    """Each of the random models in turn."""
    return FOLDERS[request.param]


@pytest.fixture(scope="session")
def load(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Load]:
    """Loads an engine; `settings` changes the model's generation settings. Equal calls share one engine."""
    loaded: dict[str, FlorenceEngine] = {}
    with ExitStack() as stack:

        def load_engine(
            folder: Path, settings: Mapping[str, Any] | None = None, **options: Any
        ) -> FlorenceEngine:
            key = f"{folder} {settings} {options}"
            if key not in loaded:
                if settings:
                    folder = with_settings(folder, tmp_path_factory.mktemp("model"), settings)
                engine = stack.enter_context(make_engine({"model_dir": str(folder), "threads": 1, **options}))
                engine.load()
                loaded[key] = engine
            return loaded[key]

        yield load_engine


@pytest.fixture(scope="session")
def engine(load: Load) -> FlorenceEngine:
    """A loaded engine of random-a."""
    return load(FOLDERS["random-a"])
