"""A small service and a pretend machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hailo_common.config.common_keys import PORT, CommonSettings
from hailo_common.config.paths import Paths
from hailo_common.config.schema import config_key, integer

SERVICE = "hailo-toy"


@dataclass(frozen=True, kw_only=True)
class Toy(CommonSettings):
    """Settings of a service that exists only here."""

    port: int = config_key(4711, PORT, "TCP port to listen on")
    low: int = config_key(1, integer(0, 10), "Lower bound")
    high: int = config_key(5, integer(0, 10), "Upper bound")

    def conflicts(self) -> Iterator[tuple[tuple[str, ...], str]]:
        yield from super().conflicts()
        if self.low > self.high:
            yield ("low", "high"), f"low ({self.low}) is more than high ({self.high})"


class Machine:
    """A root folder with the paths of one service."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.places = Paths(root=root, environ={})
        self.package = root / "usr/share/hailo-toy/hailo-toy.yaml"
        self.admin = root / "etc/hailo/hailo-toy.yaml"
        self.dropins = root / "etc/hailo/hailo-toy.d"
        self.json = root / "etc/xdg/hailo-toy/hailo-toy.json"

    def write(self, path: Path, content: str | bytes) -> Path:
        """Put a file there, with its folders."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """An empty pretend machine."""
    return Machine(tmp_path)
