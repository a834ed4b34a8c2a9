"""The list of what packages are made of is valid CycloneDX and names the digests that the build checks."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from training.eye import package

ROOT = Path(__file__).parents[2]
CONTROL = """\
Package: {name}
Version: 0.1.0+7.gabcdef12
Architecture: all
Maintainer: Nobody <nobody@example.org>
Depends: python3 (>= 3.13), python3-tokenizers | python3-hf-tokenizers, hailo-common (= 0.1.0+7.gabcdef12)
Description: {name} in one line
 And more.
"""


def build(folder: Path, name: str) -> None:
    tree = folder / "tree" / name / "DEBIAN"
    tree.mkdir(parents=True)
    (tree / "control").write_text(CONTROL.format(name=name))
    subprocess.run(
        ["dpkg-deb", "--build", tree.parent, folder / f"{name}.deb"], check=True, capture_output=True
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("dist")
    for name in ("hailo-common", "hailo-demo-models", "hailo-llama", "python3-tokenizers"):
        build(made, name)
    return made


def sbom(folder: Path) -> str:
    command = [str(ROOT / "packaging/sbom.py"), str(folder), "1764300000"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


def test_it_is_valid(folder: Path) -> None:
    validation = pytest.importorskip("cyclonedx.validation.json")
    schema = pytest.importorskip("cyclonedx.schema")
    validator = validation.JsonStrictValidator(schema.SchemaVersion.V1_6)
    assert validator.validate_str(sbom(folder)) is None


def test_packages_and_what_they_carry_have_their_digests(folder: Path) -> None:
    text = sbom(folder)
    assert text == sbom(folder), "the same packages make the same document"
    components = {each["name"]: each for each in json.loads(text)["components"]}
    assert {"hailo-common", "python3-tokenizers", "python3"} <= components.keys()
    for name in ("hailo-common", "hailo-llama"):
        [stated] = components[name]["hashes"]
        assert stated["content"] == hashlib.sha256((folder / f"{name}.deb").read_bytes()).hexdigest()
    [llama] = components["hailo-llama"]["components"]
    pinned = (ROOT / "packaging/hailo-llama/SHA256SUMS").read_text().split()[0]
    assert llama["externalReferences"][0]["hashes"][0]["content"] == pinned
    [detector] = components["hailo-demo-models"]["components"]
    assert detector["externalReferences"][0]["hashes"][0]["content"] == package.SHA256
    assert package.VERSION in detector["version"]


def test_each_carried_version_is_the_one_the_build_takes() -> None:
    carried = json.loads((ROOT / "packaging/carried.json").read_text())
    for parts in carried.values():
        for part in parts:
            version = part["purl"].rpartition("@")[2]
            assert version in part["version"]
            assert "sums" not in part or version in (ROOT / part["sums"]).read_text()


def test_a_folder_without_packages_is_told(tmp_path: Path) -> None:
    done = subprocess.run([ROOT / "packaging/sbom.py", tmp_path], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, f"sbom: no packages in {tmp_path}\n")
