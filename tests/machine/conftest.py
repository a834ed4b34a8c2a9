"""Only `make machine-test` collects these tests: they need root, mmdebstrap and minutes.

HAILO_MACHINE_TEST=short leaves those out that are not marked `short`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.machine.machine import Machine, booted
from tests.machine.repository import build, repository
from tests.machine.roots import Root, bare_root, mounted, overlay, snapshot

if not os.environ.get("HAILO_MACHINE_TEST"):
    collect_ignore_glob = ["test_*.py"]

_DEPENDENCIES = """
apt-get update -qq
apt-get install --simulate hailo-vision hailo-florence | awk '/^Inst/ && !/^Inst hailo-/ { print $2 }' |
xargs apt-get install --yes --mark-auto
"""


def pytest_configure(config: pytest.Config) -> None:
    """The marker belongs to these tests alone."""
    config.addinivalue_line("markers", "short: also with HAILO_MACHINE_TEST=short")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what a short run has no time for."""
    if os.environ.get("HAILO_MACHINE_TEST") != "short":
        return
    here = Path(__file__).parent
    left_out = [item for item in items if here in item.path.parents and not item.get_closest_marker("short")]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session")
def apt_repository() -> Iterator[Path]:
    """Both versions of our packages, and Debian's own that they need."""
    with ThreadPoolExecutor() as pool:
        # One downloads while the other computes.
        bare = pool.submit(bare_root)
        built = build()
        bare.result()
    folder = repository(built)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def prepared(apt_repository: Path) -> list[Path]:
    """Layers with Debian's packages that ours depend on."""
    listing = (apt_repository / "now/Packages").read_text(encoding="utf-8")
    names = "\n".join(sorted(line for line in listing.splitlines() if line.startswith("Filename: ")))
    return snapshot("prepared", names + _DEPENDENCIES, [bare_root()], apt_repository, _DEPENDENCIES)


@pytest.fixture(scope="session")
def installed(prepared: list[Path], apt_repository: Path) -> list[Path]:
    """Layers with hailo-florence installed as it comes."""
    listing = (apt_repository / "now/Packages").read_text(encoding="utf-8")
    command = "apt-get update -qq && apt-get install --yes hailo-florence"
    return snapshot("installed", listing, prepared, apt_repository, command)


@pytest.fixture
def chroot(prepared: list[Path], apt_repository: Path) -> Iterator[Root]:
    """A Debian 13 with our packages' dependencies, not booted."""
    with overlay(*prepared) as view, mounted(view, apt_repository) as root:
        root.run("apt-get update -qq")
        yield root


@pytest.fixture
def installed_chroot(installed: list[Path], apt_repository: Path) -> Iterator[Root]:
    """A Debian 13 with hailo-florence, not booted."""
    with overlay(*installed) as view, mounted(view, apt_repository) as root:
        yield root


@pytest.fixture(scope="module")
def machine(apt_repository: Path) -> Iterator[Machine]:
    """A bare Debian 13, booted."""
    with overlay(bare_root()) as view, booted(view, apt_repository) as running:
        yield running
