"""Other versions of our packages, made by unpacking and packing again: an upgrade needs no second build."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.machine.roots import sh

_OURS = re.compile(r"(hailo-(?:common|vision|florence|demo-models|fleet-node|gateway))_")
_SUMS = """
cd "$0"
find . -path ./DEBIAN -prune -o -type f -printf '%P\\0' | sort -z | xargs -0 md5sum >DEBIAN/md5sums
"""


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
        sh("sh", "-c", _SUMS, root)
        made.append(out / f"{match[1]}_{version}_all.deb")
        sh("dpkg-deb", "--root-owner-group", "-Znone", "--build", root, made[-1])
        shutil.rmtree(root)
    return made
