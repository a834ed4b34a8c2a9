"""Machines for the tests of a fleet."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet.roots import HUB, NODE, base_root, throwaway
from tests.machine.roots import Root


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without root and mmdebstrap there are no machines."""
    if os.geteuid() == 0 and shutil.which("mmdebstrap"):
        return
    for item in items:
        if item.get_closest_marker("fleet"):
            item.add_marker(pytest.mark.skip(reason="needs root and mmdebstrap"))


@pytest.fixture(scope="session")
def hub_root() -> Path:
    """The root folder of machines in the middle."""
    return base_root("fleet-hub", HUB)


@pytest.fixture(scope="session")
def node_root() -> Path:
    """The root folder of nodes."""
    return base_root("fleet-node", NODE)


@pytest.fixture(scope="module")
def hub(hub_root: Path) -> Iterator[Root]:
    """A machine in the middle, for commands."""
    with throwaway(hub_root) as root:
        yield root


@pytest.fixture
def node(node_root: Path) -> Iterator[Root]:
    """A fresh node, for commands; not booted."""
    with throwaway(node_root) as root:
        yield root
