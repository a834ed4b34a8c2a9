"""Purging takes what the packages made and leaves what people put beside it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

TREE = Path(__file__).parents[2]


def purge(root: Path, script: str, **words: str) -> str:
    """Run a maintainer script's purge below `root`; what it says."""
    text = (TREE / "debian" / script).read_text(encoding="utf-8").replace("#DEBHELPER#", "")
    for name, value in words.items():
        text = text.replace(f"@{name}@", value)
    for folder in ("/var/lib/", "/etc/", "/run/"):
        text = text.replace(folder, f"{root}{folder}")
    done = subprocess.run(
        ["sh", "-c", text, "postrm", "purge"], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "", "debconf would take it for commands"
    return done.stderr


def put(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("content")


def left(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def notes(root: Path, model: str, *paths: str) -> None:
    """As the fetcher writes them."""
    file = root / "var/lib/hailo-models" / model / ".verified.json"
    file.write_text(json.dumps({path: [1, 2, 3, "0" * 64] for path in paths}, indent=1) + "\n")


def test_the_fetchers_models_go_and_copied_ones_stay(tmp_path: Path) -> None:
    store = "var/lib/hailo-models"
    put(
        tmp_path,
        f"{store}/a/onnx/x.onnx",
        f"{store}/a/config.json",
        f"{store}/a/onnx/.x.onnx.0123456789abcdef.part",
        f"{store}/a/.config.json.damaged",
        f"{store}/.damaged/a",
    )
    notes(tmp_path, "a", "onnx/x.onnx", "config.json")
    put(tmp_path, f"{store}/b/mine.onnx", f"{store}/b/config.json", f"{store}/outside", f"{store}/pins.yaml")
    notes(tmp_path, "b", "config.json", "../outside")
    put(tmp_path, f"{store}/.lock", f"{store}/.refused.json", f"{store}/.fetching.json")
    put(
        tmp_path,
        "etc/hailo/hailo-fetch.yaml",
        "etc/hailo/models.d/mine.manifest",
        "etc/xdg/hailo-fetch/x.json",
    )
    said = purge(tmp_path, "hailo-common.postrm")
    assert left(tmp_path) == ["etc/hailo/models.d/mine.manifest", f"{store}/b/mine.onnx", f"{store}/outside"]
    assert f"{tmp_path}/{store} holds what this package did not make; it is left" in said
    assert "models.d holds what" in said


def test_nothing_else_means_nothing_left(tmp_path: Path) -> None:
    store = "var/lib/hailo-models"
    put(tmp_path, f"{store}/a/onnx/x.onnx", f"{store}/.lock", "etc/hailo/hailo-fetch.yaml", "run/x")
    notes(tmp_path, "a", "onnx/x.onnx")
    (tmp_path / "etc/hailo/models.d").mkdir()
    (tmp_path / store / "begun/onnx").mkdir(parents=True)
    assert purge(tmp_path, "hailo-common.postrm") == ""
    assert left(tmp_path) == ["run/x"]
    assert not (tmp_path / store).exists()
    assert not (tmp_path / "etc/hailo").exists()


def test_a_service_leaves_models_that_were_copied(tmp_path: Path) -> None:
    put(tmp_path, "var/lib/hailo-vision/models/config.json", "etc/hailo/hailo-vision.yaml")
    put(tmp_path, "var/lib/hailo-vision/made/by/the/service", "var/lib/hailo-vision/.state")
    put(tmp_path, "etc/hailo/hailo-vision.d/mine.yaml", "etc/xdg/hailo-vision/hailo-vision.json")
    purge(tmp_path, "service.postrm.in", SERVICE="hailo-vision")
    assert left(tmp_path) == ["etc/hailo/hailo-vision.d/mine.yaml", "var/lib/hailo-vision/models/config.json"]


def test_a_service_leaves_nothing_where_nobody_copied_anything(tmp_path: Path) -> None:
    put(tmp_path, "var/lib/hailo-florence/int8/copy.onnx", "etc/hailo/hailo-florence.keys", "run/kept")
    (tmp_path / "var/lib/hailo-florence/models").mkdir()
    assert purge(tmp_path, "service.postrm.in", SERVICE="hailo-florence") == ""
    assert left(tmp_path) == ["run/kept"]
    assert not (tmp_path / "var/lib/hailo-florence").exists()
