"""The shell lines of docs/recipes.md work as they stand, on the demo models and another address."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hailo_florence.api.running import Running, started

TREE = Path(__file__).parent.parent
CAMERA = 'curl -sS -f -o latest.jpg "http://frigate.local:5000/api/front_door/latest.jpg"'


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
    """What the lines print that have this word in them, and that all went well."""
    done = lines(word, services, folder)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def lines(word: str, services: tuple[Running, Running], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the lines that have this word in them."""
    page = (TREE / "docs" / "recipes.md").read_text(encoding="utf-8")
    blocks = [re.sub("(?m)^    ", "", block) for block in re.findall(r"(?m)((?:^    .*\n)+)", page)]
    (text,) = (block for block in blocks if word in block)
    for before, after in (
        ("11438", str(services[0].port)),
        ("11435", str(services[1].port)),
        (CAMERA, "cp garage.jpg latest.jpg"),
        ("hailo-ctl caption", f"{Path(sys.executable).parent}/hailo-ctl caption --root {folder}"),
        (" -F detail=detailed", ""),  # the demo model of shapes knows short captions
        ("/srv/snapshots", str(folder / "snapshots")),
    ):
        text = text.replace(before, after)
    return subprocess.run(
        ["sh", "-c", text], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


CAPTION = "a red circle to the left of a blue square"


def test_a_camera(services: tuple[Running, Running], folder: Path) -> None:
    assert run("front_door", services, folder) == f"{CAPTION}\n"
    assert run("front_door", services, folder) == ""


def test_a_camera_that_gives_no_picture_makes_no_caption(
    services: tuple[Running, Running], folder: Path
) -> None:
    (folder / "garage.jpg").write_text("<html>503</html>", encoding="utf-8")
    done = lines("front_door", services, folder)
    assert (done.returncode, done.stdout) == (5, "")
    assert "the file is a web page" in done.stderr.lower()


def test_a_night(services: tuple[Running, Running], folder: Path) -> None:
    (folder / "etc/hailo").mkdir(parents=True)
    (folder / "etc/hailo/hailo-florence.yaml").write_text(f"port: {services[0].port}\n", encoding="utf-8")
    told = map(json.loads, run("/srv/snapshots", services, folder).splitlines())
    assert list(told) == [[str(folder / f"snapshots/{n}.jpg"), CAPTION] for n in (1, 2)]


def test_a_door(services: tuple[Running, Running], folder: Path) -> None:
    assert run("v1/vqa", services, folder).strip() in ("yes", "no")
    assert run("json_schema", services, folder).strip() in ("true", "false")
