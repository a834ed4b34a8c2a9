"""The packages under test."""

from __future__ import annotations

import os
from pathlib import Path

from tests.machine.repository import build
from tests.machine.versions import another

__all__ = ["another", "built"]


def built() -> list[Path]:
    """The packages of the last commit, or those in the folder HAILO_FLEET_DEBS."""
    folder = Path(os.environ.get("HAILO_FLEET_DEBS") or build())
    return [deb for deb in sorted(folder.glob("*.deb")) if not deb.name.endswith("_arm64.deb")]
