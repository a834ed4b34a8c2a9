"""The next Debian: what our packages depend on is there, asked of apt with its lists. Nothing is installed.

People's upgrades follow Debian; an upper bound or a package that was dropped shows here years before it
shows there. Skipped where the mirror cannot be reached or has no such suite any more.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.machine.repository import OURS, build
from tests.machine.roots import Root, bare_root, overlay, sh

SUITE = os.environ.get("HAILO_NEXT_DEBIAN", "forky")
# Nothing counts as installed: what comes is the suite's alone. A mirror that stands still may be asked, too.
_APT = (
    "apt-get -o Dir::State::status=/empty -o APT::Sandbox::User=root -o Debug::NoLocking=1"
    " -o Acquire::Check-Valid-Until=false"
)


@pytest.fixture(scope="module")
def next_debian() -> Iterator[Root]:
    """A root whose apt knows the next Debian, and our packages as files."""
    with overlay(bare_root()) as view:
        root = Root(view)
        mirror = _mirror(view)
        for old in (view / "etc/apt/sources.list", *(view / "etc/apt/sources.list.d").iterdir()):
            old.unlink(missing_ok=True)
        (view / "etc/apt/sources.list").write_text(f"deb {mirror} {SUITE} main\n", encoding="ascii")
        (view / "empty").touch()
        shutil.copy2("/etc/resolv.conf", view / "etc/resolv.conf")
        (view / "ours").mkdir()
        for deb in build().glob("*.deb"):
            if deb.name.startswith(OURS) and not deb.name.endswith("_arm64.deb"):
                shutil.copy2(deb, view / "ours")
        sh("mount", "--bind", "/dev", view / "dev")
        done = root.run(f"{_APT} -o APT::Update::Error-Mode=any update 2>&1", check=False, timeout=300)
        if done.returncode:
            pytest.skip(f"the mirror does not give {SUITE}: {done.stdout[-300:]}")
        yield root


def _mirror(view: Path) -> str:
    """Where the root's packages came from."""
    texts = [
        path.read_text() for path in (view / "etc/apt").rglob("*") if path.suffix in (".list", ".sources")
    ]
    found = re.search(r"https?://[^\s]+", "\n".join(texts))
    assert found, texts
    return found[0]


@pytest.mark.parametrize("services", ["hailo-vision", "hailo-florence", "hailo-vision hailo-florence"])
@pytest.mark.parametrize("more", ["", "--no-install-recommends"])
def test_our_packages_install_there(next_debian: Root, services: str, more: str) -> None:
    names = ["hailo-common", *services.split(), "python3-tokenizers"]
    files = " ".join(f"/ours/{name}_*.deb" for name in names)
    done = next_debian.run(f"{_APT} {more} install --simulate --yes {files} 2>&1", check=False)
    assert done.returncode == 0, done.stdout
    coming = dict(re.findall(r"^Inst (\S+) (?:\[\S+\] )?\((\S+)", done.stdout, re.M))
    assert set(names) <= set(coming), done.stdout
    assert "python3-fastapi" in coming
    versions = f"Python {coming['python3']}, FastAPI {coming['python3-fastapi']}"
    print(f"\n{services} {more}: {len(coming)} packages, {versions}")
