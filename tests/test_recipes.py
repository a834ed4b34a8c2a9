"""The shell lines of docs/recipes.md work as they stand, on the demo models and another address."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hailo_florence.api.running import Running, started

TREE = Path(__file__).parent.parent
CAMERA = 'curl -s "http://frigate.local:5000/api/front_door/latest.jpg"'


@pytest.fixture(scope="module")
def services() -> Iterator[tuple[Running, Running]]:
    if not shutil.which("jq") or not shutil.which("curl"):
        pytest.skip("the recipes need curl and jq")
    with (
        started(("hailo_florence", "--demo", "shapes")) as florence,
        started(("hailo_vision", "--demo", "shapes")) as vision,
    ):
        yield florence, vision


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("garage.jpg", "snapshots/1.jpg", "snapshots/2.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(TREE / "docs" / "sample.jpg", tmp_path / name)
    return tmp_path


def run(word: str, services: tuple[Running, Running], folder: Path) -> str:
    """What the lines print that have this word in them."""
    page = (TREE / "docs" / "recipes.md").read_text(encoding="utf-8")
    blocks = [re.sub("(?m)^    ", "", block) for block in re.findall(r"(?m)((?:^    .*\n)+)", page)]
    (lines,) = (block for block in blocks if word in block)
    for before, after in (
        ("11438", str(services[0].port)),
        ("11435", str(services[1].port)),
        (CAMERA, "cat garage.jpg"),
        (" -F detail=detailed", ""),  # the demo model of shapes knows short captions
        ("/srv/snapshots", str(folder / "snapshots")),
    ):
        lines = lines.replace(before, after)
    done = subprocess.run(
        ["sh", "-c", lines], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


CAPTION = "a red circle to the left of a blue square"


def test_a_camera(services: tuple[Running, Running], folder: Path) -> None:
    assert run("front_door", services, folder) == f"{CAPTION}\n"
    assert run("front_door", services, folder) == ""


def test_a_night(services: tuple[Running, Running], folder: Path) -> None:
    assert run("snapshots", services, folder).splitlines() == [f'[{n},"{CAPTION}"]' for n in range(2)]


def test_a_door(services: tuple[Running, Running], folder: Path) -> None:
    assert run("v1/vqa", services, folder).strip() in ("yes", "no")
    assert run("json_schema", services, folder).strip() in ("true", "false")
