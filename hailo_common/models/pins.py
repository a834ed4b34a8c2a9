"""Checksums that somebody accepted for files whose publisher states none: `pins.yaml` in the store.

A pin belongs to a URL, so models that share a file share its pin. The file may be copied to other nodes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from hailo_common.atomic import write_atomic
from hailo_common.errors import ConfigError
from hailo_common.models.manifest import ModelFile
from hailo_common.models.nodes import read_table

NAME = "pins.yaml"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_HEAD = """\
# Checksums accepted on this machine for files whose publisher states none (hailo-ctl models pin).
# Copy this file to other nodes, and they accept the same files and no others.
"""


@dataclass(frozen=True)
class Pin:
    """What was accepted for one URL."""

    sha256: str
    size: int


class Pins:
    """The pins of one store, read once."""

    def __init__(self, store: Path) -> None:
        self.path = store / NAME
        self._pins = _read(self.path) if self.path.exists() else {}

    def digest(self, file: ModelFile) -> str | None:
        """What the file's content must hash to: as stated, else as pinned, else None."""
        if file.sha256:
            return file.sha256
        pin = self.find(file)
        return pin.sha256 if pin else None

    def find(self, file: ModelFile) -> Pin | None:
        """The pin of a file."""
        return next((self._pins[url] for url in file.urls if url in self._pins), None)

    def add(self, file: ModelFile, pin: Pin) -> None:
        """Pin a file and write all pins."""
        self._pins[file.urls[0]] = pin
        self.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        lines = [
            f'"{url}":\n  sha256: {pin.sha256}\n  size: {pin.size}\n'
            for url, pin in sorted(self._pins.items())
        ]
        write_atomic(self.path, (_HEAD + "".join(lines)).encode())


def _read(path: Path) -> dict[str, Pin]:
    pins = {}
    for url, entry in read_table(path).tables():
        entry.allow("sha256", "size")
        digest, size = entry.text("sha256"), entry.whole("size", 10**15)
        if not _SHA256.fullmatch(digest) or size is None:
            raise ConfigError(f"{path}: {url}: needs sha256 (64 hexadecimal digits) and size")
        pins[url] = Pin(digest, size)
    return pins
