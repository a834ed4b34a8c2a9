"""A Raspberry Pi with a Hailo-10H, as a booted machine sees it: the vendors' packages, a node, the simulator.

The simulator of `tests.hailo_sim` stands for library, driver and chip, and lies where the vendor's Python
library would. A `.pth` file beside it tells every Python of the machine where the simulated chip is.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

from hailo_common.models.manifest import Model, read_manifest
from tests.hailo_sim import SITE
from tests.hailo_sim.make import make_qwen3_folder, make_vision_folder
from tests.machine.roots import TREE, sh
from tests.npu import Machine as Chip
from tests.packaging.vendors import RASPBERRY, VENDOR

PLACE = "/srv/pi"
DEBIANS = "usr/lib/python3/dist-packages"
"""Where Raspberry Pi's package puts the library."""
PIPS = "usr/local/lib/python3.13/dist-packages"
"""Where pip puts a wheel for all users."""
_LIBRARY = "python3-h10-hailort"
_FOR_THE_CHIP = """[Service]
# The simulated chip's own state is in files; a real one has it behind its node.
ReadWritePaths={place}/sysroot/chip
"""


def plug_in(view: Path, version: str) -> Chip:
    """Give a machine that has not booted a chip and a driver, seen below PLACE, and the vendors' archives."""
    chip = Chip(view / PLACE.lstrip("/"), version=version)
    # Where an engine behind its walls may write: with its device.
    chip.state = chip.state.rename(chip.sysroot / "chip")
    chip.state.chmod(0o777)
    # The node itself is a real one, in /dev, so that the units' DeviceAllow= is asked.
    shutil.rmtree(chip.sysroot / "dev")
    (chip.sysroot / "dev").symlink_to("/dev")
    unit = view / "etc/systemd/system/hailo-vision.service.d/simulator.conf"
    unit.parent.mkdir(parents=True)
    unit.write_text(_FOR_THE_CHIP.format(place=PLACE), encoding="utf-8")
    _archive(view, version)
    return chip


def node(chip: Chip) -> str:
    """The shell's line that makes its node, open to all as the vendors' udev rules make it."""
    # Another driver's, which opens for everybody and does nothing.
    return f"mknod -m 666 /dev/{chip.nodes[0].name} c 10 200"


def library(site: Path, version: str) -> None:
    """Put the simulator of a version into a folder where Python looks."""
    shutil.copytree(SITE, site, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    here = {
        "HAILO_SIM_VERSION": version,
        "HAILO_SIM_STATE": f"{PLACE}/sysroot/chip",
        "HAILO_APPLIANCE_SYSROOT": f"{PLACE}/sysroot",
    }
    (site / "hailo_chip_here.pth").write_text(f"import os; os.environ.update({here!r})\n", encoding="utf-8")
    about = site / f"hailort-{version}.dist-info/METADATA"
    about.parent.mkdir()
    about.write_text(f"Metadata-Version: 2.1\nName: hailort\nVersion: {version}\n", encoding="utf-8")


def _archive(view: Path, version: str) -> None:
    """The vendors' packages as apt repositories that the machine knows."""
    folder = view / PLACE.lstrip("/") / "archive"
    folder.mkdir()
    for entry in [*RASPBERRY, *VENDOR.get(version, [])]:
        name = entry.splitlines()[0].partition(": ")[2]
        content = (lambda root: library(root / DEBIANS, version)) if name == _LIBRARY else _nothing
        _package(folder, entry, content)
    listing = sh("sh", "-c", 'cd "$0" && dpkg-scanpackages --multiversion . 2>/dev/null', folder).stdout
    (folder / "Packages").write_text(listing, encoding="utf-8")
    source = view / "etc/apt/sources.list.d/vendors.list"
    source.write_text(f"deb [trusted=yes] file:{PLACE}/archive ./\n", encoding="utf-8")


def _nothing(root: Path) -> None:
    """An empty package."""


def _package(folder: Path, entry: str, content: Callable[[Path], None]) -> None:
    root = folder / "root"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN/control").write_text(entry, encoding="utf-8")
    content(root)
    sh("dpkg-deb", "--root-owner-group", "-Znone", "--build", root, folder)
    shutil.rmtree(root)


def publish(view: Path, mirror: Path) -> dict[str, Model]:
    """Show each HEF of the manifest as a mirror does, with a manifest of the stand-ins' digests.

    Each was made for its own release; the models' names, releases and files are the manifest's. Returns them.
    """
    models = {
        name: model
        for name, model in read_manifest(TREE / "models.manifest").items()
        if (model.service, model.architecture) == ("hailo-vision", "hailo10h")
    }
    entries = {name: _publish(mirror / name, model) for name, model in models.items()}
    drop = view / "etc/hailo/models.d/stand-ins.manifest"
    drop.parent.mkdir(parents=True)
    drop.write_text(json.dumps({"schema": 1, "models": entries}), encoding="utf-8")
    return models


def _publish(folder: Path, model: Model) -> dict[str, object]:
    make = make_qwen3_folder if model.name.startswith("qwen3") else make_vision_folder
    make(folder, zoo=model.hailort)
    return {
        "service": model.service,
        "backend": model.backend,
        "architecture": model.architecture,
        "hailort": model.hailort,
        "loads_on": list(model.loads_on),
        "default": model.default,
        "licence": model.licence,
        "memory_mb": 100,
        "seconds": 1,
        "files": [_file(folder / each.path, each.urls[0]) for each in model.files],
    }


def _file(path: Path, url: str) -> dict[str, object]:
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return {"path": path.name, "url": url, "size": len(content), "sha256": digest}
