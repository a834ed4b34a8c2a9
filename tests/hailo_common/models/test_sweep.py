"""Kill, full disk, broken disk at every system call of a fetch: no bad file, mended by the next run."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hailo_common.models.depot import Depot, onnx, running
from tests.sweep import TALKING, Driver, driver, sweep

__all__ = ["driver"]

FILES = {
    "onnx/big.onnx": onnx(bytes(range(256)) * 300),
    "tokenizer.json": b"{}",
    "config.json": b'{"a": 1}',
}


@pytest.fixture
def depot() -> Iterator[Depot]:
    with running() as server:
        server.files = {f"toy/{path}": content for path, content in FILES.items()}
        yield server


def manifest(*, stated: bool) -> str:
    lines = [
        "schema: 1",
        "models:",
        "  toy:",
        "    service: hailo-florence",
        "    backend: cpu",
        "    licence: MIT",
    ]
    lines.append("    files:")
    for path, content in FILES.items():
        digest = hashlib.sha256(content).hexdigest() if stated or path == "config.json" else "unstated"
        lines += [
            f"      - path: {path}",
            f"        url: https://origin.invalid/{path}",
            f"        sha256: {digest}",
        ]
    return "\n".join(lines) + "\n"


class Site:
    """A root folder with a manifest and the fetcher's configuration."""

    def __init__(self, root: Path, url: str, *, stated: bool) -> None:
        self.root, self.store = root, root / "var/lib/hailo-models"
        self.put("usr/share/hailo/models.manifest", manifest(stated=stated))
        self.put(
            "etc/hailo/hailo-fetch.yaml",
            f"mirror: {url}\nmirrors_only: true\ntries: 1\nkeep_free_mb: 0\nproxy: none\n",
        )

    def put(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def empty(self) -> None:
        """Nothing fetched yet."""
        shutil.rmtree(self.store, ignore_errors=True)

    def old(self) -> None:
        """An older, other file lies under a real name, and a whole one beside it."""
        self.empty()
        for path, content in (("onnx/big.onnx", b"\x08old"), ("tokenizer.json", FILES["tokenizer.json"])):
            (self.store / "toy" / path).parent.mkdir(parents=True, exist_ok=True)
            (self.store / "toy" / path).write_bytes(content)

    def visible(self) -> dict[str, bytes]:
        """What has a real name."""
        folder = self.store / "toy"
        found = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}

    def intact(self) -> None:
        """Whatever has a real name is whole."""
        for path, content in self.visible().items():
            assert content in (FILES[path], b"\x08old"), path

    def repaired(self) -> None:
        """Everything is there, and nothing else."""
        assert self.visible() == FILES
        names = {path.relative_to(self.store).as_posix() for path in self.store.rglob("*") if path.is_file()}
        own = {".lock", "pins.yaml", "toy/.verified.json"}
        assert names - own == {f"toy/{path}" for path in FILES}


ARGV = ["models", "fetch", "toy", "--accept", "--root"]


@pytest.mark.parametrize(("stated", "begin"), [(False, "empty"), (True, "old")])
def test_fetch(tmp_path: Path, driver: Driver, depot: Depot, stated: bool, begin: str) -> None:
    site = Site(tmp_path, depot.url, stated=stated)
    count = sweep(
        driver,
        [*ARGV, str(tmp_path)],
        TALKING,
        prepare=getattr(site, begin),
        intact=site.intact,
        repaired=site.repaired,
    )
    print(f"{count} faults")
    assert count > 150
