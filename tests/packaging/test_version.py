"""Each build has a version of its own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "packaging/stamp-version.sh"


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A repository of one commit, and beside it its sources unpacked."""
    repository = tmp_path / "repository"
    (repository / "debian").mkdir(parents=True)
    (repository / "hailo_common").mkdir()
    (repository / "debian/changelog").write_text(
        "hailo-appliance (0.1.0) trixie; urgency=medium\n\n  * First.\n\n"
        " -- A B <a@example.org>  Sun, 22 Nov 2026 00:00:00 +0000\n"
    )
    (repository / "hailo_common/__init__.py").write_text('__version__ = "0.1.0"\n')
    git(repository, "init", "--quiet")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "first", "--date", "2026-11-28T12:00:00Z")
    return repository


def stamped(repository: Path, tree: Path) -> tuple[str, str]:
    """The versions of the changelog and of the Python package after stamping."""
    tree.mkdir()
    subprocess.run(f"git archive HEAD | tar -x -C {tree}", cwd=repository, shell=True, check=True)
    subprocess.run([SCRIPT, "HEAD", tree], cwd=repository, check=True, env={**os.environ, "LC_ALL": "C"})
    first = (tree / "debian/changelog").read_text().splitlines()[0]
    return first.split("(")[1].split(")")[0], (tree / "hailo_common/__init__.py").read_text().split('"')[1]


def test_a_build_is_named_after_its_commit_and_later_ones_are_newer(sources: Path, tmp_path: Path) -> None:
    first, python = stamped(sources, tmp_path / "one")
    assert first == python == f"0.1.0+1.g{git(sources, 'rev-parse', '--short=8', 'HEAD')}"
    (sources / "more").touch()
    git(sources, "add", "--all")
    git(sources, "commit", "--quiet", "--message", "second")
    second, _ = stamped(sources, tmp_path / "two")
    newer = subprocess.run(["dpkg", "--compare-versions", second, "gt", first], check=False)
    assert newer.returncode == 0
    parsed = subprocess.run(
        ["dpkg-parsechangelog", "-l", tmp_path / "two/debian/changelog", "-S", "Version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert parsed.stdout.strip() == second


def test_a_release_keeps_its_version(sources: Path, tmp_path: Path) -> None:
    git(sources, "tag", "v0.1.0")
    assert stamped(sources, tmp_path / "one") == ("0.1.0", "0.1.0")
