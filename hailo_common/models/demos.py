"""The embedded models of a service: which there are, and where each lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hailo_common.config.common_keys import DEMO, SHAPES
from hailo_common.config.paths import Paths

NAMES = {"hailo-vision": "qwen2-vl", "hailo-florence": "florence-2"}
"""What the folders of each service's embedded models are called in their package."""
KNOWS = {DEMO: "80 everyday things", SHAPES: "coloured shapes only"}


@dataclass(frozen=True)
class Demos:
    """Where the embedded models of a service lie, whether or not they are there."""

    everyday: Path
    shapes: Path
    installed: tuple[Path, Path]
    """The same two as their package has them: `model: auto` stands in with these alone."""

    def folder(self, name: str) -> Path:
        """The folder that `demo` or `shapes` stands for; the everyday model is the usual one where it is."""
        return self.everyday if name == DEMO and _there(self.everyday) else self.shapes

    def stand_in(self) -> Path:
        """What `auto` takes until a model is there: the usual one of the package."""
        everyday, shapes = self.installed
        return everyday if _there(everyday) else shapes

    def knows(self, folder: Path) -> str:
        """What the embedded model in a folder knows; empty for a folder that is none of theirs."""
        if folder in {self.everyday, self.installed[0]}:
            return KNOWS[DEMO]
        return KNOWS[SHAPES] if folder in {self.shapes, self.installed[1]} else ""


def find_demos(service: str, paths: Paths, bundled: Path | None = None) -> Demos:
    """The embedded models of a service: those of the package, else those in the folder `bundled`."""
    name = NAMES.get(service, service)
    installed = (paths.demos() / f"{name}-everyday", paths.demos() / name)
    if bundled is None:
        return Demos(*installed, installed)
    own = (bundled / "everyday_model", bundled / "demo_model")
    everyday, shapes = (here if here.is_dir() else other for here, other in zip(installed, own, strict=True))
    return Demos(everyday, shapes, installed)


def _there(folder: Path) -> bool:
    return (folder / "config.json").is_file()
