"""A local apt repository: our packages, and Debian's own that they depend on."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.machine.roots import CACHE, TREE, Root, bare_root, overlay, sh

OURS = ("hailo-common", "hailo-vision", "hailo-florence", "hailo-demo-models", "python3-tokenizers")
NEXT = "9.9.9"
"""The version to which tests upgrade."""


def build(version: str = "") -> Path:
    """The folder of the packages of the last commit, built when they are not there yet."""
    commit = sh("git", "-C", TREE, "rev-parse", "HEAD").stdout.strip()
    folder = CACHE / "machine" / (version or "now")
    stamp = folder / "commit"
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != commit:
        shutil.rmtree(folder, ignore_errors=True)
        sh(TREE / "packaging/build-deb.sh", folder, version, timeout=3600)
        stamp.write_text(commit, encoding="utf-8")
    return folder


def repository(now: Path, following: Path) -> Path:
    """A folder of two repositories: `now`, with what of Debian it needs on a bare machine, and `next`."""
    folder = CACHE / "machine" / "repository"
    shutil.rmtree(folder, ignore_errors=True)
    _fill(folder / "now", [*now.glob("*.deb"), *_dependencies(now)])
    _fill(folder / "next", list(following.glob("hailo-*.deb")))
    return folder


def _fill(folder: Path, debs: list[Path]) -> None:
    folder.mkdir(parents=True)
    for deb in debs:
        if not deb.name.endswith("_arm64.deb"):
            shutil.copy2(deb, folder)
    listing = sh("sh", "-c", 'cd "$0" && dpkg-scanpackages . 2>/dev/null', folder).stdout
    (folder / "Packages").write_text(listing, encoding="utf-8")


def _dependencies(ours: Path) -> list[Path]:
    """Debian's packages, downloaded once from the mirror."""
    archives = CACHE / "apt-archives"
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    bare = bare_root()
    with overlay(bare) as view:
        root = Root(view)
        folder = view / "ours"
        folder.mkdir()
        for deb in ours.glob("*.deb"):
            if deb.name.startswith(OURS) and not deb.name.endswith("_arm64.deb"):
                shutil.copy2(deb, folder)
        shutil.copy2("/etc/resolv.conf", view / "etc/resolv.conf")
        sh("mount", "--bind", archives, view / "var/cache/apt/archives")
        root.run("apt-get update", timeout=1800)
        root.run(
            "apt-get install --yes --download-only --no-install-recommends /ours/*.deb",
            timeout=3600,
        )
    return list(archives.glob("*.deb"))
