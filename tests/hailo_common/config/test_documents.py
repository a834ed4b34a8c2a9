"""The committed documents are what the tables give."""

from __future__ import annotations

from pathlib import Path

import yaml

from hailo_common.config.load import load_files
from hailo_florence.config import KEYS, FlorenceSettings
from tools.docs.configuration import documents_of, write_documents

TREE = Path(__file__).parents[3]


def test_committed_documents_are_current() -> None:
    for path, text in documents_of(TREE).items():
        assert path.read_text(encoding="utf-8") == text, "run: python -m tools.docs.configuration"


def test_the_packaged_yaml_changes_nothing_and_is_right_when_uncommented(tmp_path: Path) -> None:
    packaged = TREE / "conf/hailo-florence.yaml"
    assert yaml.safe_load(packaged.read_text(encoding="utf-8")) is None
    lines = packaged.read_text(encoding="utf-8").splitlines()
    keys = [line[1:] for line in lines if line.startswith("#") and not line.startswith("# ") and line != "#"]
    assert [line.split(":")[0] for line in keys] == [key.name for key in KEYS]
    (tmp_path / "all.yaml").write_text("\n".join(keys), encoding="utf-8")
    assert (
        load_files(FlorenceSettings, [packaged])
        == load_files(FlorenceSettings, [tmp_path / "all.yaml"])
        == FlorenceSettings()
    )


def test_written_into_a_fresh_tree(tmp_path: Path) -> None:
    (tmp_path / "hailo_florence").mkdir()
    (tmp_path / "hailo_florence/config.py").touch()
    written = write_documents(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in written] == [
        "conf/hailo-florence.yaml",
        "docs/configuration.md",
    ]
    assert "| `port` | `11438` | an integer from 1 to 65535 |" in written[1].read_text(encoding="utf-8")
