"""Models for many nodes: a mirror that verifies, and packages of models. No root, no network."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from hailo_common.cli.main import main
from hailo_common.models.manifest import read_manifest

NAME = "florence-trial"
FILES = {"weights/part.bin": b"encoder" * 999, "tokenizer.json": b"{}", "config.json": b'{"a": 1}'}


@pytest.fixture
def publisher(tmp_path: Path) -> Path:
    """A folder that holds the model as MODEL/FILE."""
    for path, data in FILES.items():
        file = tmp_path / "publisher" / NAME / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return tmp_path / "publisher"


def _root(folder: Path, *, stated: bool) -> Path:
    """A file system whose manifest knows the model."""
    lines = ["schema: 1", "models:", f"  {NAME}:", "    service: hailo-florence", "    backend: cpu"]
    lines += ["    licence: none", "    default: true", "    files:"]
    for path, data in FILES.items():
        digest = hashlib.sha256(data).hexdigest() if stated else "unstated"
        url = f"https://publisher.invalid/{path}"
        lines += [f"      - path: {path}", f"        url: {url}", f"        sha256: {digest}"]
    manifest = folder / "etc/hailo/models.d/trial.manifest"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("\n".join(lines) + "\n")
    settings = folder / "etc/hailo/hailo-fetch.yaml"
    settings.write_text("mirrors_only: true\nmirror: /nowhere\ntries: 1\nkeep_free_mb: 0\n")
    return folder


def _mirror(root: Path, folder: Path, publisher: Path, *more: str) -> int:
    words = ["models", "mirror", str(folder), NAME, "--from", str(publisher), "--root", str(root), *more]
    return main(words)


def test_a_node_takes_from_a_mirror_what_its_publisher_never_stated(tmp_path: Path, publisher: Path) -> None:
    mirror = tmp_path / "mirror"
    root = _root(tmp_path / "server", stated=False)
    assert _mirror(root, mirror, publisher) == 78, "nobody has accepted the files"
    assert _mirror(root, mirror, publisher, "--accept") == 0
    for path, data in FILES.items():
        assert (mirror / NAME / path).read_bytes() == data
    model = read_manifest(mirror / "mirror.manifest")[NAME]
    assert {file.sha256 for file in model.files} == {
        hashlib.sha256(data).hexdigest() for data in FILES.values()
    }
    assert (model.service, model.default) == ("hailo-florence", True)

    node = _root(tmp_path / "node", stated=False)
    shutil.copy(mirror / "mirror.manifest", node / "etc/hailo/models.d/mirror.manifest")
    fetch = ["models", "fetch", NAME, "--from", str(mirror), "--root", str(node)]
    (node / "etc/hailo/models.d/trial.manifest").unlink()
    assert main(fetch) == 0
    assert main(["models", "verify", NAME, "--root", str(node)]) == 0


def test_a_file_that_was_changed_on_the_way_is_not_mirrored(tmp_path: Path, publisher: Path) -> None:
    (publisher / NAME / "weights/part.bin").write_bytes(b"decoder" * 999)
    mirror = tmp_path / "mirror"
    assert _mirror(_root(tmp_path / "server", stated=True), mirror, publisher) != 0
    assert not (mirror / NAME / "weights/part.bin").exists()
    assert not (mirror / "mirror.manifest").exists()


def test_a_second_run_mends_what_is_broken(tmp_path: Path, publisher: Path) -> None:
    mirror, root = tmp_path / "mirror", _root(tmp_path / "server", stated=True)
    assert _mirror(root, mirror, publisher) == 0
    (mirror / NAME / "tokenizer.json").write_bytes(b"[]")
    assert _mirror(root, mirror, publisher, "--verify") == 0
    assert (mirror / NAME / "tokenizer.json").read_bytes() == b"{}"


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs Debian's dpkg-deb")
def test_a_model_as_a_package(tmp_path: Path, publisher: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mirror, root = tmp_path / "mirror", _root(tmp_path / "server", stated=False)
    assert main(["models", "build-deb", NAME, "--store", str(mirror), "--root", str(root)]) == 78
    assert _mirror(root, mirror, publisher, "--accept") == 0
    capsys.readouterr()
    out = tmp_path / "out"
    out.mkdir()
    words = ["models", "build-deb", NAME, "--store", str(mirror), "--out", str(out), "--root", str(root)]
    assert main(words) == 0
    (deb,) = out.iterdir()
    assert str(deb) in capsys.readouterr().out
    first = deb.read_bytes()
    assert main(words) == 0
    assert deb.read_bytes() == first, "the same files give the same package"
    unpacked = tmp_path / "unpacked"
    subprocess.run(["dpkg-deb", "-x", deb, unpacked], check=True, timeout=60)
    for path, data in FILES.items():
        assert (unpacked / "var/lib/hailo-models" / NAME / path).read_bytes() == data
    assert NAME in read_manifest(unpacked / f"etc/hailo/models.d/{NAME}.manifest")
    fields = subprocess.run(["dpkg-deb", "-f", deb], capture_output=True, text=True, check=True, timeout=60)
    assert f"Package: hailo-model-{NAME}" in fields.stdout
    assert "Depends: hailo-common" in fields.stdout
