"""The repository's command line, as an operator starts it: from the source tree, with Debian's own Python."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fleet.repository.keys import Keys, build_keyring
from tests.fleet.operator import NAME, Operator
from tests.machine.roots import TREE

_TOOLS = ("dpkg-deb", "apt-ftparchive", "gpg")
NEEDS_TOOLS = pytest.mark.skipif(not all(map(shutil.which, _TOOLS)), reason=f"needs {', '.join(_TOOLS)}")


def _run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """`-S`: no package of a virtual environment is there."""
    command = [sys.executable, "-S", "-B", "-m", "fleet.repository", *words]
    return subprocess.run(command, cwd=TREE, capture_output=True, text=True, timeout=120, check=False)


def test_it_needs_no_virtual_environment() -> None:
    done = _run("--help")
    assert done.returncode == 0, done.stderr
    assert "promote --percent" in done.stdout


def test_what_is_wrong_is_one_line(tmp_path: Path) -> None:
    done = _run("--repository", tmp_path / "repository", "--keys", tmp_path / "keys", "promote")
    assert done.returncode == 1
    assert done.stderr == "repository: candidate is empty; publish packages first\n"


def test_what_is_not_installed_is_named_before_anything_begins(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-S",
        "-B",
        "-m",
        "fleet.repository",
        "--repository",
        "made",
        "publish",
        "a.deb",
    ]
    environment = {"PATH": str(tmp_path), "HOME": str(tmp_path), "PYTHONPATH": str(TREE)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("repository: not installed: apt-utils, ")
    assert "; sudo apt install apt-utils " in done.stderr
    assert list(tmp_path.iterdir()) == []


@NEEDS_TOOLS
def test_publish_promote_and_roll_back(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    options = ("--repository", tmp_path / "repository", "--keys", tmp_path / "keys")
    for words in (("publish", operator.build("1")), ("publish", operator.build("2")), ("promote",)):
        done = _run(*options, *words)
        assert done.returncode == 0, done.stderr
    index = tmp_path / "repository/dists/stable/main/binary-arm64/Packages"
    assert f"pool/{NAME}_2_all.deb" in index.read_text()
    assert "SHA256:" in done.stdout, "the sum that nodes check provision.sh by"
    assert _run(*options, "rollback", "stable").returncode == 0
    assert f"pool/{NAME}_2_all.deb" not in index.read_text()
    assert "stable" in _run(*options, "list").stdout


@NEEDS_TOOLS
def test_states_of_one_second_have_times_of_their_own(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    operator.publish("1")
    times = [operator.state.joinpath("InRelease").stat().st_mtime]
    for _ in range(3):
        operator.repository().refresh()
        times.append(operator.state.joinpath("InRelease").stat().st_mtime)
    assert len(set(map(int, times))) == len(times)
    assert times == sorted(times)


@NEEDS_TOOLS
def test_a_keyring_package_comes_out_the_same_also_ahead_of_the_clock(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys")
    keys.create("Test repository")
    for _ in range(4):
        keys.add()
    first = build_keyring(keys, tmp_path).read_bytes()
    time.sleep(1.1)
    assert build_keyring(keys, tmp_path).read_bytes() == first
