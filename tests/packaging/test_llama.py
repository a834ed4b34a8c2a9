"""What hailo-llama is made of is pinned, and neither its name nor its version is left to chance."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]
LLAMA = TREE / "packaging/hailo-llama"
SCRIPT = TREE / "packaging/build-llama.sh"


def read(name: str) -> str:
    return (LLAMA / name).read_text(encoding="utf-8")


def pinned() -> tuple[str, str]:
    """Digest and version of the source."""
    lines = read("SHA256SUMS").splitlines()
    assert len(lines) == 1
    match = re.fullmatch(r"([0-9a-f]{64})  llama_cpp_python-([0-9.]+)\.tar\.gz", lines[0])
    assert match, lines
    return match[1], match[2]


def stanza(name: str, control: Path) -> str:
    text = control.read_text(encoding="utf-8")
    return next(part for part in text.split("\n\n") if part.startswith(f"Package: {name}\n"))


def test_the_version_is_the_sources() -> None:
    _, version = pinned()
    assert read("debian/changelog").startswith(f"hailo-llama ({version}+ds-")
    assert f'__version__ = "{version}"' in read("debian/__init__.py")


def test_the_commit_is_the_changelogs() -> None:
    commit = re.findall(r"-DLLAMA_BUILD_COMMIT=([0-9a-f]+)", read("debian/rules"))
    assert len(commit) == 1
    assert f"({commit[0]})" in read("debian/changelog").split(" -- ")[0]


def test_every_patch_is_applied() -> None:
    series = read("debian/patches/series").split()
    assert sorted(series) == sorted(path.name for path in (LLAMA / "debian/patches").glob("*.patch"))


def test_a_raspberry_pi_5_gets_dot_products() -> None:
    variants = dict(re.findall(r"^VARIANTS_(\w+) := (.*)$", read("debian/rules"), re.MULTILINE))
    assert {"armv8.0_1", "armv8.2_1", "armv8.2_2"} <= set(variants["arm64"].split())
    assert {"x64", "haswell"} <= set(variants["amd64"].split())


def test_hailo_vision_works_without() -> None:
    vision = stanza("hailo-vision", TREE / "debian/control")
    fields = dict(re.findall(r"^([A-Z]\w+):((?:.|\n )*)", vision, re.MULTILINE))
    assert "hailo-llama" in fields["Recommends"].replace(",", " ").split()
    assert "llama" not in fields["Depends"]


def test_libraries_and_declarations_are_of_one_version() -> None:
    fields = stanza("python3-hailo-llama", LLAMA / "debian/control")
    assert "hailo-llama (>= ${source:Version})," in fields
    assert "hailo-llama (<< ${source:Version}.1~)," in fields


git_tree = pytest.mark.skipif(
    not (shutil.which("git") and (TREE / ".git").exists()),
    reason="needs the repository",
)


def script(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPT, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@git_tree
def test_what_was_built_is_kept_for_its_sources_only() -> None:
    kept = script("--where")
    assert re.fullmatch(rf"{re.escape(str(TREE))}/\.cache/llama/[0-9a-f]{{16}}\n", kept.stdout), kept.stderr
    assert script("--where").stdout == kept.stdout


@git_tree
def test_another_file_is_not_built(tmp_path: Path) -> None:
    """Another file under the name of the source, from an index or from before, stops the build."""
    _, version = pinned()
    name = f"llama_cpp_python-{version}.tar.gz"
    served, downloads = tmp_path / "served", tmp_path / "downloads"
    for folder in (served, downloads):
        folder.mkdir()
        (folder / name).write_bytes(b"not the source")
    refused = script(
        "--fetch",
        DOWNLOADS=str(downloads),
        PIP_CONFIG_FILE=os.devnull,
        PIP_NO_INDEX="1",
        PIP_FIND_LINKS=str(served),
        PIP_NO_CACHE_DIR="1",
    )
    assert refused.returncode != 0
    assert "DO NOT MATCH THE HASHES" in refused.stderr, refused.stderr
