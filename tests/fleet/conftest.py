"""Machines for the tests of a fleet."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet.gateway import ADDRESSES, Gateway
from tests.fleet.nodes import Node
from tests.fleet.roots import HUB, NODE, base_root, throwaway
from tests.machine.roots import Root

_TOOLS = ("mmdebstrap", "apt-ftparchive", "gpg")
_LONG = (
    "test_a_bad_upgrade_is_taken_back_by_the_node_itself",
    "test_a_good_upgrade_comes_in_by_itself",
)
"""Tests of the booted fleet that HAILO_FLEET_TEST=short leaves out, with those of all other files."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without root and the tools there are no machines; a short run has the booted fleet's main tests."""
    able = os.geteuid() == 0 and all(map(shutil.which, _TOOLS))
    short = os.environ.get("HAILO_FLEET_TEST") == "short"
    for item in items:
        if not item.get_closest_marker("fleet"):
            continue
        if not able:
            item.add_marker(pytest.mark.skip(reason=f"needs root, {', '.join(_TOOLS)}"))
        elif short and (item.path.name != "test_fleet.py" or item.name in _LONG):
            item.add_marker(pytest.mark.skip(reason="not in the short run"))


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


@pytest.fixture
def gateway(hub: Root) -> Gateway:
    """A gateway with the settings of the package, for three nodes."""
    gateway = Gateway(hub)
    gateway.set(nodes=" ".join(ADDRESSES))
    return gateway


@pytest.fixture
def nodes() -> Iterator[list[Node]]:
    """Three nodes."""
    made = [Node(address) for address in ADDRESSES]
    yield made
    for node in made:
        node.close()
