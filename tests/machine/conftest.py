"""Only `make machine-test` collects these tests: they need root, mmdebstrap and minutes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.machine.machine import Machine, booted
from tests.machine.repository import NEXT, build, repository
from tests.machine.roots import CACHE, Root, bare_root, mounted, overlay

if not os.environ.get("HAILO_MACHINE_TEST"):
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def apt_repository() -> Path:
    """Both versions of our packages, and Debian's own that they need."""
    return repository(build(), build(NEXT))


@pytest.fixture(scope="session")
def prepared(apt_repository: Path) -> Path:
    """A layer with Debian's packages that ours depend on."""
    layer = CACHE / "machine" / "prepared"
    stamp = layer.with_suffix(".done")
    listing = (apt_repository / "now/Packages").read_text(encoding="utf-8")
    names = " ".join(sorted(line for line in listing.splitlines() if line.startswith("Filename: ")))
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != names:
        stamp.unlink(missing_ok=True)
        with overlay(bare_root(), keep=layer) as view, mounted(view, apt_repository) as root:
            root.run(
                "apt-get update && apt-get install --yes hailo-common && apt-get purge --yes hailo-common"
            )
        stamp.write_text(names, encoding="utf-8")
    return layer


@pytest.fixture
def chroot(prepared: Path, apt_repository: Path) -> Iterator[Root]:
    """A Debian 13 with our packages' dependencies, not booted."""
    with overlay(prepared, bare_root()) as view, mounted(view, apt_repository) as root:
        root.run("apt-get update")
        yield root


@pytest.fixture(scope="module")
def machine(apt_repository: Path, request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A bare Debian 13, booted; HAILO_MACHINE_TEST=quick gives it Debian's packages already."""
    quick = os.environ["HAILO_MACHINE_TEST"] == "quick"
    layers = [request.getfixturevalue("prepared"), bare_root()] if quick else [bare_root()]
    with overlay(*layers) as view, booted(view, apt_repository) as running:
        yield running
