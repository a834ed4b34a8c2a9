"""Threat G1 of tests/threats.md: what leaves a machine as a model is what was verified, and nothing else."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from hailo_common.errors import ConfigError
from hailo_common.models.export import build_package, copied, manifest_of, manifest_of_folder
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
