"""hailo-vision on the simulated chip, in every version, beside the same demo model on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hailo_vision.onnx.engine import OnnxVisionEngine, make_onnx_engine
from tests.hailo_sim.make import make_vision_folder
from tests.hailo_vision.conversations import DEMO
from tests.hailo_vision.npu.serving import Npu, serving
from tests.npu import VERSIONS, Machine


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo model as a stand-in HEF that every version takes."""
    return make_vision_folder(tmp_path_factory.mktemp("hef") / "model", zoo=VERSIONS[0])


@pytest.fixture(scope="session")
def cpu() -> Iterator[OnnxVisionEngine]:
    """The demo model on the CPU, without caches."""
    options = {"model_dir": str(DEMO), "threads": 1, "conversation_cache_mb": 0, "picture_cache_mb": 0}
    with make_onnx_engine(options) as engine:
        engine.load()
        yield engine


@pytest.fixture(scope="session", params=VERSIONS)
def npu(
    request: pytest.FixtureRequest, model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Npu]:
    """The service on a chip that works, for each version of HailoRT."""
    folder = tmp_path_factory.mktemp(f"machine-{request.param}")
    with Machine(folder, version=request.param) as machine, serving(machine, model) as running:
        yield running
