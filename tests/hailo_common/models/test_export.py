"""Threat G1 of tests/threats.md: what leaves a machine as a model is what was verified, and nothing else."""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
from pathlib import Path

import pytest

from hailo_common.errors import ConfigError
from hailo_common.models.export import (
    build_package,
    check_unchanged,
    copied,
    manifest_of,
    manifest_of_folder,
)
from hailo_common.models.manifest import Model, read_manifest
from hailo_common.models.store import Store

GOOD = b"the weights that were verified"
MANIFEST = f"""\
schema: 1
models:
  toy:
    service: hailo-vision
    backend: cpu
    licence: MIT
    files:
      - path: weights.onnx
        sha256: {hashlib.sha256(GOOD).hexdigest()}
"""


@pytest.fixture
def toy(tmp_path: Path) -> Model:
    """A model with one file."""
    (tmp_path / "toy.manifest").write_text(MANIFEST)
    return read_manifest(tmp_path / "toy.manifest")["toy"]


@pytest.fixture
def store(tmp_path: Path, toy: Model) -> Store:
    """A store that has it."""
    made = Store(tmp_path / "store")
    made.folder(toy).mkdir(parents=True)
    made.path(toy, toy.files[0]).write_bytes(GOOD)
    return made


def test_a_package_holds_only_what_hashes_to_its_checksum(tmp_path: Path, toy: Model, store: Store) -> None:
    """Before, the file was taken as it lay there, and as a link to it: whoever owned it could change it."""
    path = store.path(toy, toy.files[0])
    made = build_package(toy, store, tmp_path, "1")
    assert made.is_file()
    assert path.stat().st_nlink == 1
    path.write_bytes(GOOD.upper())
    with pytest.raises(ConfigError, match=r"weights\.onnx: its content does not match its checksum"):
        build_package(toy, store, tmp_path, "2")
    assert not list(tmp_path.glob("*_2_*"))


def test_a_package_and_a_mirror_follow_no_link(tmp_path: Path, toy: Model, store: Store) -> None:
    path = store.path(toy, toy.files[0])
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match=r"weights\.onnx is not in"):
        build_package(toy, store, tmp_path, "1")
    with pytest.raises(ConfigError, match=r"weights\.onnx is not in"):
        manifest_of([toy], store)


@pytest.mark.parametrize("name", ["config.json", "onnx/weights.onnx", "onnx"])
def test_a_folder_with_a_link_out_of_it_is_no_model(tmp_path: Path, name: str) -> None:
    """Root described, and told the checksum of, whatever file of the machine a stranger's link led to."""
    folder, secret = tmp_path / "folder", tmp_path / "shadow"
    secret.write_text("root:x")
    (folder / name).parent.mkdir(parents=True)
    (folder / "real.json").write_text("{}")
    (folder / name).symlink_to(secret if name != "onnx" else tmp_path)
    if name == "onnx":
        text = manifest_of_folder("toy", folder, {})
        assert "shadow" not in text
        return
    with pytest.raises(ConfigError, match="leaves the folder"):
        manifest_of_folder("toy", folder, {})


def test_a_snapshot_of_the_hub_is_a_folder(tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "a").write_bytes(GOOD)
    (snapshot / "weights.onnx").symlink_to("../../blobs/a")
    assert hashlib.sha256(GOOD).hexdigest() in manifest_of_folder("toy", snapshot, {})


def test_what_is_copied_is_what_was_hashed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(GOOD)
    assert copied(tmp_path / "a", tmp_path / "b") == hashlib.sha256(GOOD).hexdigest()
    assert (tmp_path / "b").read_bytes() == GOOD
    with pytest.raises(FileExistsError):
        copied(tmp_path / "a", tmp_path / "b")
    with pytest.raises(ConfigError, match="not a regular file"):
        copied(Path("/dev/zero"))


@pytest.mark.parametrize("how", ["written", "renamed", "linked"])
def test_a_file_that_changes_while_it_is_packed_is_in_no_package(
    tmp_path: Path, toy: Model, store: Store, how: str
) -> None:
    """Whoever owns the store swaps the bytes under the name, as fast as it can, while root packs."""
    good, other = GOOD * 20_000, GOOD.upper() * 20_000
    text = MANIFEST.replace(hashlib.sha256(GOOD).hexdigest(), hashlib.sha256(good).hexdigest())
    (tmp_path / "toy.manifest").write_text(text)
    toy = read_manifest(tmp_path / "toy.manifest")["toy"]
    path = store.path(toy, toy.files[0])
    path.write_bytes(good)
    done = threading.Event()
    attack = threading.Thread(target=swapping, args=(path, good, other, how, done))
    attack.start()
    built = []
    try:
        for number in range(12):
            try:
                built.append(build_package(toy, store, tmp_path, f"{number}"))
            except (ConfigError, OSError):
                continue
    finally:
        done.set()
        attack.join()
    refused = 12 - len(built)
    for package in built:
        subprocess.run(["dpkg-deb", "-x", package, tmp_path / package.stem], check=True)
        packed = tmp_path / package.stem / "var/lib/hailo-models/toy/weights.onnx"
        assert not packed.is_symlink()
        assert packed.read_bytes() == good
    assert refused, "nothing of the attack was met"
    path.unlink()
    path.write_bytes(good)
    assert build_package(toy, store, tmp_path, "99").is_file()


def swapping(path: Path, good: bytes, other: bytes, how: str, done: threading.Event) -> None:
    """Change what lies under the name, until `done`."""
    beside = path.with_name("beside")
    elsewhere = path.parents[2] / "elsewhere"
    elsewhere.write_bytes(good)
    while not done.is_set():
        for content in (other, good):
            if how == "written":
                path.write_bytes(content)
                continue
            beside.unlink(missing_ok=True)
            if how == "linked" and content is good:
                beside.symlink_to(elsewhere)
            else:
                beside.write_bytes(content)
            beside.replace(path)


def test_a_mirror_tells_what_was_changed_since(tmp_path: Path, toy: Model, store: Store) -> None:
    """Its manifest went on describing the file, of which every node would then say that it is bad."""
    file = toy.files[0]
    path = store.path(toy, file)
    check_unchanged(toy, store)
    store.note(toy, file, file.sha256)
    os.utime(path, (1, 1))
    check_unchanged(toy, store)
    path.write_bytes(GOOD.upper())
    with pytest.raises(ConfigError, match=r"weights\.onnx: its content .* mirror it again: .* toy$"):
        check_unchanged(toy, store)
