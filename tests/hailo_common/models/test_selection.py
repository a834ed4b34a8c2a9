"""Which model a service takes, on which machine."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hailo_common.config.paths import Paths
from hailo_common.errors import ConfigError
from hailo_common.main import _until_arrived
from hailo_common.models.manifest import load_catalogue, read_manifest
from hailo_common.models.selection import (
    ModelChoice,
    NpuPresence,
    arrived,
    choose_folder,
    choose_folders,
    find_npu,
    model_of,
    selected_models,
)
from hailo_common.models.settings import FetchSettings
from hailo_florence.config import FlorenceSettings as Florence
from hailo_vision.config import VisionSettings as Vision

TREE = Path(__file__).parents[3]
MODELS = read_manifest(TREE / "models.manifest")
NONE = NpuPresence()
PI = {version: NpuPresence("hailo10h", version) for version in ("5.0.0", "5.1.1", "5.2.0", "5.3.0")}


@pytest.fixture
def places(tmp_path: Path) -> Paths:
    """A machine with the packaged manifest and nothing else."""
    manifest = tmp_path / "usr/share/hailo/models.manifest"
    manifest.parent.mkdir(parents=True)
    manifest.write_bytes((TREE / "models.manifest").read_bytes())
    return Paths(root=tmp_path, environ={})


@pytest.mark.parametrize(
    ("values", "chip", "name"),
    [
        ({}, NONE, "qwen2-vl-2b-instruct-onnx"),
        ({}, PI["5.1.1"], "qwen2-vl-2b-instruct-hailo10h-5.1.1"),
        ({}, PI["5.2.0"], "qwen2-vl-2b-instruct-hailo10h-5.2.0"),
        ({}, PI["5.3.0"], "qwen2-vl-2b-instruct-hailo10h-5.2.0"),
        ({}, PI["5.0.0"], "qwen2-vl-2b-instruct-onnx"),
        ({"backend": "cpu"}, PI["5.2.0"], "qwen2-vl-2b-instruct-onnx"),
        ({"backend": "npu"}, NONE, None),
        ({"model": "demo"}, PI["5.2.0"], None),
        ({"model_dir": "/srv/m"}, PI["5.2.0"], None),
        ({"model": "qwen2-vl-2b-instruct-hailo10h-5.1.1"}, NONE, "qwen2-vl-2b-instruct-hailo10h-5.1.1"),
    ],
)
def test_vision(places: Paths, values: dict[str, Any], chip: NpuPresence, name: str | None) -> None:
    model = model_of("hailo-vision", Vision(**values), load_catalogue(places), chip)
    assert (model.name if model else None) == name


@pytest.mark.parametrize("chip", [NONE, PI["5.2.0"], NpuPresence("hailo8", "4.23.0")])
def test_florence_takes_the_cpu_as_long_as_there_are_no_hefs(places: Paths, chip: NpuPresence) -> None:
    model = model_of("hailo-florence", Florence(), load_catalogue(places), chip)
    assert model
    assert model.name == "florence-2-base-ft-onnx"


def test_names_are_checked(places: Paths) -> None:
    with pytest.raises(ConfigError, match="did you mean florence-2-base-ft-onnx"):
        model_of("hailo-florence", Florence(model="florence-2-base-onnx"), load_catalogue(places), NONE)
    with pytest.raises(ConfigError, match="qwen2-vl-2b-instruct-onnx is for hailo-vision"):
        model_of("hailo-florence", Florence(model="qwen2-vl-2b-instruct-onnx"), load_catalogue(places), NONE)


def test_what_this_machine_wants(places: Paths) -> None:
    admin = places.admin("hailo-florence")
    admin.parent.mkdir(parents=True)
    admin.write_text("model: demo\n")
    fetch = FetchSettings(models=("florence-2-base-hailo8",))
    wanted = selected_models(places, load_catalogue(places), fetch, PI["5.2.0"])
    assert [(each.model.name, each.reason) for each in wanted] == [
        ("qwen2-vl-2b-instruct-hailo10h-5.2.0", "hailo-vision uses it"),
        ("florence-2-base-hailo8", "hailo-fetch.yaml names it"),
    ]


def folder(places: Paths, **values: Any) -> str:
    choice = choose_folder(
        "hailo-florence", Florence(**values), places, demo=Path("/demo"), demo_name="florence-2", npu=NONE
    )
    awaits = f" instead of {choice.awaited.name}" if choice.awaited else ""
    return f"{choice.folder}{awaits}".removeprefix(str(places.root))


def put(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")


def test_the_folder(places: Paths) -> None:
    assert folder(places, model_dir="/srv/m") == "/srv/m"
    assert folder(places, model="demo") == "/demo"
    assert folder(places) == "/var/lib/hailo-models/florence-2-base-ft-onnx"
    put(places.demos() / "florence-2/config.json")
    assert folder(places) == "/usr/share/hailo-demo-models/florence-2 instead of florence-2-base-ft-onnx"
    name = "florence-2-base-ft-onnx"
    assert folder(places, model=name) == f"/var/lib/hailo-models/{name}"
    for file in MODELS[name].files:
        put(places.store() / name / file.path)
    assert folder(places) == f"/var/lib/hailo-models/{name}"
    put(places.models("hailo-florence") / "config.json")
    assert folder(places) == "/var/lib/hailo-florence/models"


def test_several_models_each_have_their_folder_and_are_wanted(places: Paths) -> None:
    models = ("eye=qwen2-vl-2b-instruct-onnx", "/srv/night", "demo")
    settings = Vision(backend="cpu", models=models, model_keep_alive=("night=0", "demo=10m"), keep_alive_s=60)
    chosen = choose_folders(
        "hailo-vision", settings, places, demo=Path("/demo"), demo_name="qwen2-vl", npu=NONE
    )
    root = str(places.root)
    assert [(each.name, str(each.choice.folder).removeprefix(root), each.keep_s) for each in chosen] == [
        ("eye", "/var/lib/hailo-models/qwen2-vl-2b-instruct-onnx", 60),
        ("night", "/srv/night", 0),
        ("demo", "/demo", 600),
    ]
    wanted = [
        model_of("hailo-vision", settings.alone(key.source), load_catalogue(places), NONE)
        for key in settings.served()
    ]
    assert [model and model.name for model in wanted] == ["qwen2-vl-2b-instruct-onnx", None, None]


def test_the_real_model_is_noticed_when_its_last_file_is_there(places: Paths) -> None:
    put(places.demos() / "florence-2/config.json")
    choice = choose_folder(
        "hailo-florence", Florence(), places, demo=Path("/"), demo_name="florence-2", npu=NONE
    )
    assert choice.awaited
    assert choice.awaited.files[-1].path == "config.json"
    for file in choice.awaited.files:
        assert not arrived(choice, places)
        put(places.store() / choice.awaited.name / file.path)
    assert arrived(choice, places)


def test_the_chip_is_known_without_its_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fetcher's unit has no devices; it must come to the same choice as the service."""
    assert find_npu(tmp_path) == NpuPresence()
    entry = tmp_path / "sys/class/hailo_chardev/hailo0"
    entry.mkdir(parents=True)
    (entry / "accelerator_type").write_text("1\n")
    version = tmp_path / "sys/module/hailo1x_pci/version"
    put(version)
    version.write_text("5.2.0\n")
    monkeypatch.setattr("hailo_common.models.selection.find_spec", lambda name: object())
    assert find_npu(tmp_path) == NpuPresence("hailo10h", "5.2.0")
    (entry / "accelerator_type").write_text("0\n")
    assert find_npu(tmp_path) == NpuPresence("hailo8", "5.2.0")
    monkeypatch.setattr("hailo_common.models.selection.find_spec", lambda name: None)
    assert find_npu(tmp_path) == NpuPresence()


def test_a_service_on_the_demo_model_ends_for_the_real_one(
    monkeypatch: pytest.MonkeyPatch, places: Paths
) -> None:
    looks = iter([False, False, True])
    monkeypatch.setattr("hailo_common.main.arrived", lambda choice, places: next(looks))
    monkeypatch.setattr("hailo_common.main._LOOK_S", 0.01)
    made: Any = SimpleNamespace(exit_status=0, server=SimpleNamespace(should_exit=False))
    asyncio.run(_until_arrived(made, [ModelChoice(Path("/demo"))], places))
    # 75, which systemd's Restart=on-failure answers with a new start.
    assert (made.exit_status, made.server.should_exit) == (os.EX_TEMPFAIL, True)
