"""A model folder for the simulated chip, and services on it in every version of HailoRT."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hailo_florence.api.running import Running
from tests.hailo_florence.cases import DEMO
from tests.hailo_florence.npu.serving import on_chip
from tests.hailo_sim.make import make_florence_folder
from tests.npu import VERSIONS, Machine


@pytest.fixture(scope="session")
def npu_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """HEFs, embeddings and the vision encoder of the demo model."""
    return make_florence_folder(tmp_path_factory.mktemp("npu-model") / "florence")


@pytest.fixture(scope="session", params=VERSIONS)
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine with a chip, for the whole session, of each version in turn."""
    with Machine(tmp_path_factory.mktemp("machine"), version=request.param) as made:
        yield made


@pytest.fixture(scope="session")
def florence(machine: Machine, npu_model: Path) -> Iterator[Running]:
    """hailo-florence on the chip; the name is that of the tests of the API, which run on it unchanged."""
    with on_chip(machine, npu_model) as running:
        yield running


@pytest.fixture(scope="session")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with the published encoder's room for a prompt, 8 tokens, and no mask."""
    return make_florence_folder(tmp_path_factory.mktemp("npu-narrow") / "florence", room=8, masked=False)


@pytest.fixture(scope="session")
def both(npu_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """HEFs and graphs for the CPU side by side."""
    folder = tmp_path_factory.mktemp("npu-both") / "florence"
    shutil.copytree(npu_model, folder)
    return Path(shutil.copytree(DEMO, folder, dirs_exist_ok=True))
