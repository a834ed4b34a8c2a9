"""A machine in each version, and model folders made once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.hailo_sim.chat import START
from tests.hailo_sim.make import make_florence_folder, make_vision_folder
from tests.npu import VERSIONS, Machine

Make = Callable[..., Machine]


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    """Each version of HailoRT in turn."""
    return str(request.param)


@pytest.fixture
def machines(version: str, tmp_path: Path) -> Iterator[Make]:
    """Makes machines; violations on them fail the test."""
    with ExitStack() as stack:

        def make(**options: Any) -> Machine:
            folder = tmp_path / f"machine-{len(list(tmp_path.iterdir()))}"
            return stack.enter_context(Machine(folder, version=version, **options))

        yield make


@pytest.fixture
def machine(machines: Make) -> Machine:
    """A machine with one chip."""
    return machines()


@pytest.fixture(scope="session")
def florence_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo model of hailo-florence for the NPU."""
    return make_florence_folder(tmp_path_factory.mktemp("npu") / "florence")


@pytest.fixture(scope="session")
def vision_hef(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo model of hailo-vision as a HEF."""
    folder = make_vision_folder(tmp_path_factory.mktemp("npu") / "vision")
    return next(folder.glob("*.hef"))


@pytest.fixture
def loaded(vision_hef: Path) -> str:
    """The beginning of a program that has loaded the model and drawn a red circle."""
    return START.format(hef=str(vision_hef))
