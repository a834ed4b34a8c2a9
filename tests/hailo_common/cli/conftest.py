"""hailo-ctl on a pretend root folder."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hailo_common.cli.main import main

TREE = Path(__file__).parents[3]


@dataclass
class Done:
    """What a command did."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        """The output as JSON."""
        return json.loads(self.out)


class Machine:
    """A root folder, and the command that works in it."""

    def __init__(self, root: Path, read: Callable[[], tuple[str, str]]) -> None:
        self.root = root
        self._read = read

    def ctl(self, *words: str) -> Done:
        """Run hailo-ctl with `--root`."""
        try:
            status = main([*words, "--root", str(self.root)])
        except SystemExit as stop:
            status = int(stop.code or 0)
        return Done(status, *self._read())

    def put(self, path: str, content: str | bytes) -> Path:
        """Write a file of the root folder."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())
        return target


@pytest.fixture
def machine(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Machine:
    """An empty machine with the packaged manifest."""
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)

    def read() -> tuple[str, str]:
        out, err = capsys.readouterr()
        return out, err

    made = Machine(tmp_path / "root", read)
    made.put("usr/share/hailo/models.manifest", (TREE / "models.manifest").read_bytes())
    return made


@pytest.fixture
def unprivileged(machine: Machine) -> Iterator[None]:
    """The user may read what the test has written and change nothing of it."""
    folders = [machine.root, *(path for path in machine.root.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    root = os.geteuid() == 0
    above = (
        [folder for folder in machine.root.parents if folder.stat().st_mode & 0o055 != 0o055] if root else []
    )
    for folder in above:
        folder.chmod(folder.stat().st_mode | 0o055)
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        for folder in above:
            folder.chmod(folder.stat().st_mode & ~0o055)
        for folder in folders:
            folder.chmod(0o755)
