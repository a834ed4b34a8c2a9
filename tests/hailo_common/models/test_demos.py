"""Where the embedded models lie, and which one is the usual one."""

from __future__ import annotations

from pathlib import Path

import pytest

from hailo_common.config.paths import Paths
from hailo_common.models.demos import NAMES, find_demos

TREE = Path(__file__).parents[3]


def put(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder


@pytest.fixture
def places(tmp_path: Path) -> Paths:
    return Paths(root=tmp_path / "root", environ={})


def test_the_everyday_model_is_the_usual_one_where_it_is(places: Paths, tmp_path: Path) -> None:
    own = tmp_path / "own"
    shapes = put(own / "demo_model")
    demos = find_demos("hailo-vision", places, own)
    assert demos.folder("demo") == demos.folder("shapes") == shapes
    assert demos.knows(shapes) == "coloured shapes only"
    everyday = put(own / "everyday_model")
    assert (demos.folder("demo"), demos.folder("shapes")) == (everyday, shapes)
    assert (demos.knows(everyday), demos.knows(own)) == ("80 everyday things", "")


def test_installed_ones_go_before_bundled_ones_and_stand_in_alone(places: Paths, tmp_path: Path) -> None:
    own = tmp_path / "own"
    put(own / "demo_model")
    bundled = put(own / "everyday_model")
    assert find_demos("hailo-florence", places, own).stand_in() == places.demos() / "florence-2"
    installed = put(places.demos() / "florence-2")
    demos = find_demos("hailo-florence", places, own)
    assert (demos.folder("demo"), demos.folder("shapes"), demos.stand_in()) == (bundled, installed, installed)
    everyday = put(places.demos() / "florence-2-everyday")
    demos = find_demos("hailo-florence", places, own)
    assert (demos.folder("demo"), demos.stand_in()) == (everyday, everyday)
    assert find_demos("hailo-florence", places).folder("demo") == everyday


@pytest.mark.parametrize("service", NAMES)
def test_the_package_has_every_folder_where_the_services_look(service: str, places: Paths) -> None:
    lines = (TREE / "debian/hailo-demo-models.install").read_text(encoding="utf-8").splitlines()
    installed = dict(map(str.split, lines))
    module = service.replace("-", "_")
    everyday, shapes = find_demos(service, places).installed
    for folder, place in (("everyday_model", everyday), ("demo_model", shapes)):
        if (TREE / module / folder).is_dir():
            assert "/" + installed[f"{module}/{folder}/*"] == str(place).removeprefix(str(places.root))
