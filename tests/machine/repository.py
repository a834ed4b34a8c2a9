"""A local apt repository: our packages, and Debian's own that they depend on."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.machine.roots import CACHE, TREE, Root, bare_root, locked, overlay, sh
from tests.machine.versions import another

OURS = ("hailo-common", "hailo-vision", "hailo-florence", "hailo-demo-models", "python3-tokenizers")
NEXT = "9.9.9"
"""The version to which tests upgrade."""
_NOT_PACKAGED = ("tests", "training", ".ci", ".gitignore", "README.md")


def build() -> Path:
    """The folder of the packages of the last commit: dist/ if it has them, else built without compression."""
    wanted = _sources("HEAD")
    made = CACHE / "machine" / "now"
    with locked():
        for folder in (TREE / "dist", made):
            commit = folder / "commit"
            if commit.is_file() and _sources(commit.read_text(encoding="utf-8").strip()) == wanted:
                return folder
        shutil.rmtree(made, ignore_errors=True)
        sh("env", "QUICK=yes", TREE / "packaging/build-deb.sh", made, timeout=3600)
    return made


def _sources(revision: str) -> str:
    """What of a commit the packages are made of, as git's checksums; empty for an unknown commit."""
    listing = sh("git", "-C", TREE, "ls-tree", revision, check=False).stdout.splitlines()
    return "\n".join(line for line in listing if line.partition("\t")[2] not in _NOT_PACKAGED)


def repository(now: Path) -> Path:
    """A folder of two repositories: `now`, with what of Debian it needs on a bare machine, and `next`."""
    folder = CACHE / "machine" / f"repository.{os.getpid()}"
    debs = [deb for deb in now.glob("*.deb") if not deb.name.endswith("_arm64.deb")]
    _fill(folder / "now", [*debs, *_dependencies(debs)])
    another(debs, NEXT, folder / "next")
    _index(folder / "next")
    return folder


def _fill(folder: Path, debs: list[Path]) -> None:
    folder.mkdir(parents=True)
    for deb in debs:
        shutil.copy2(deb, folder)
    _index(folder)


def _index(folder: Path) -> None:
    listing = sh("sh", "-c", 'cd "$0" && dpkg-scanpackages . 2>/dev/null', folder).stdout
    (folder / "Packages").write_text(listing, encoding="utf-8")


def _dependencies(ours: list[Path]) -> list[Path]:
    """Debian's packages, downloaded once from the mirror."""
    archives = CACHE / "apt-archives"
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    with overlay(bare_root()) as view:
        root = Root(view)
        folder = view / "ours"
        folder.mkdir()
        for deb in ours:
            if deb.name.startswith(OURS):
                shutil.copy2(deb, folder)
        shutil.copy2("/etc/resolv.conf", view / "etc/resolv.conf")
        sh("mount", "--bind", archives, view / "var/cache/apt/archives")
        root.run("apt-get update", timeout=1800)
        root.run(
            "apt-get install --yes --download-only --no-install-recommends /ours/*.deb",
            timeout=3600,
        )
    return list(archives.glob("*.deb"))
