"""The packages under test, and other versions of them, made by unpacking and packing again."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.machine.repository import build
from tests.machine.roots import sh

_OURS = re.compile(r"(hailo-(?:common|vision|florence|demo-models|fleet-node|gateway))_")


def built() -> list[Path]:
    """The packages of the last commit, or those in the folder HAILO_FLEET_DEBS."""
    folder = Path(os.environ.get("HAILO_FLEET_DEBS") or build())
    return [deb for deb in sorted(folder.glob("*.deb")) if not deb.name.endswith("_arm64.deb")]


def another(
    debs: list[Path], version: str, out: Path, change: Callable[[str, Path], None] = lambda _name, _root: None
) -> list[Path]:
    """The same packages of our source as another version; `change` may alter the files of each."""
    out.mkdir(parents=True)
    made = []
    for deb in debs:
        match = _OURS.match(deb.name)
        if not match:
            continue
        root = out / "root"
        sh("dpkg-deb", "-R", deb, root)
        control = root / "DEBIAN/control"
        text = control.read_text()
        old = re.search(r"^Version: (.*)$", text, re.MULTILINE)
        assert old
        control.write_text(
            text.replace(f"Version: {old[1]}", f"Version: {version}").replace(
                f"(= {old[1]})", f"(= {version})"
            )
        )
        for init in root.glob("usr/lib/python3/dist-packages/hailo_common/__init__.py"):
            init.write_text(re.sub(r'__version__ = ".*"', f'__version__ = "{version}"', init.read_text()))
        change(match[1], root)
        made.append(out / f"{match[1]}_{version}_all.deb")
        sh("dpkg-deb", "--root-owner-group", "-Znone", "--build", root, made[-1])
        shutil.rmtree(root)
    return made
