"""A disk without room, and two processes at once, with the real program."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hailo_common.models.depot import Depot, running, slowly
from tests.hailo_common.models.test_sweep import FILES, Site

_DEADLINE_S = 120


@pytest.fixture
def depot() -> Iterator[Depot]:
    with running() as server:
        server.files = {f"toy/{path}": content for path, content in FILES.items()}
        yield server


def start(root: Path, limit_kib: int | None = None) -> subprocess.Popen[str]:
    """`hailo-ctl models fetch`, perhaps with a limit on the size of files."""
    fetch = ["models", "fetch", "toy", "--accept", "--root", str(root)]
    command = [sys.executable, "-m", "hailo_common.cli.main", *fetch]
    if limit_kib is not None:
        command = ["bash", "-c", f'ulimit -f {limit_kib}; exec "$@"', "bash", *command]
    return subprocess.Popen(
        command, cwd=Path(__file__).parents[3], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit status and what was said of problems."""
    _, told = process.communicate(timeout=_DEADLINE_S)
    return process.returncode, told


def test_a_write_that_the_system_refuses(tmp_path: Path, depot: Depot) -> None:
    site = Site(tmp_path, depot.url, stated=True)
    status, told = finish(start(tmp_path, limit_kib=20))
    assert status == os.EX_TEMPFAIL
    assert "toy: the disk is full" in told
    site.intact()
    assert not list(site.store.rglob("*.part"))
    assert finish(start(tmp_path)) == (0, "")
    site.repaired()


def test_a_small_file_system(tmp_path: Path, depot: Depot) -> None:
    site = Site(tmp_path, depot.url, stated=True)
    site.store.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(site.store)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system may be mounted here")
    try:
        # This model's manifest tells no sizes, so the look at free space comes when the server tells them.
        status, told = finish(start(tmp_path))
        assert status == os.EX_TEMPFAIL
        assert "toy: needs 76.8 kB in" in told
        assert "make room for" in told
        site.intact()
        subprocess.run(["mount", "-o", "remount,size=1m", str(site.store)], check=True)
        assert finish(start(tmp_path)) == (0, "")
        site.repaired()
    finally:
        subprocess.run(["umount", str(site.store)], check=True)


def test_two_processes_at_once(tmp_path: Path, depot: Depot) -> None:
    site = Site(tmp_path, depot.url, stated=False)
    depot.behaviours["toy/onnx/big.onnx"] = slowly(2)
    both = [start(tmp_path), start(tmp_path)]
    assert [finish(process) for process in both] == [(0, ""), (0, "")]
    assert [path for path, _ in depot.requests].count("/toy/onnx/big.onnx") == 1
    site.repaired()
