"""Which model a service takes, on which machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from hailo_common.config.paths import Paths
from hailo_common.errors import ConfigError
from hailo_common.models.demos import Demos
from hailo_common.models.machine import Machine, NpuPresence, find_machine, find_npu
from hailo_common.models.manifest import load_catalogue, read_manifest
from hailo_common.models.selection import choose_folders, selected, selected_models
from hailo_common.models.settings import FetchSettings
from hailo_florence.config import FlorenceSettings as Florence
from hailo_vision.config import VisionSettings as Vision

TREE = Path(__file__).parents[3]
MODELS = read_manifest(TREE / "models.manifest")
NO_CHIP = NpuPresence()
GGUF = frozenset({"", "gguf"})
GIB = 1 << 30


def machine(gib: float = 8, driver: str = "", *, gguf: bool = True, **values: Any) -> Machine:
    """A Raspberry Pi 5, with the chip where a driver is given."""
    npu = NpuPresence("hailo10h", driver) if driver else NO_CHIP
    formats = GGUF if gguf else frozenset({""})
    return Machine(
        npu=npu, memory=int(gib * GIB * 0.98), formats=formats, **{"cores": 4, "free": 10**11, **values}
    )


NONE = machine()


@pytest.fixture
def places(tmp_path: Path) -> Paths:
    """A machine with the packaged manifest and nothing else."""
    manifest = tmp_path / "usr/share/hailo/models.manifest"
    manifest.parent.mkdir(parents=True)
    manifest.write_bytes((TREE / "models.manifest").read_bytes())
    return Paths(root=tmp_path, environ={})


QWEN = "qwen2-vl-2b-instruct"
CASES: list[tuple[dict[str, Any], Machine, str | None, str]] = [
    # The release's own HEF; an older one where it only differs by a correction, or was seen to load.
    ({}, machine(driver="5.1.1"), f"{QWEN}-hailo10h-5.1.1", "made for HailoRT 5.1.1"),
    ({}, machine(driver="5.2.0"), f"{QWEN}-hailo10h-5.2.0", "made for HailoRT 5.2.0"),
    ({}, machine(driver="5.3.0"), f"{QWEN}-hailo10h-5.3.0", "made for HailoRT 5.3.0"),
    ({}, machine(driver="5.4.0"), f"{QWEN}-hailo10h-5.4.0", "made for HailoRT 5.4.0"),
    ({}, machine(driver="5.3.1"), f"{QWEN}-hailo10h-5.3.0", "which 5.3.1 only corrects"),
    (
        {},
        machine(driver="5.4.0", free=3 * 10**9),
        f"{QWEN}-hailo10h-5.1.1",
        f"made for HailoRT 5.1.1, and known to load on 5.4.0, and {QWEN}-hailo10h-5.4.0 has no room",
    ),
    ({}, machine(driver="5.0.0"), "smolvlm-500m-instruct-gguf", "no HEF is known to load on this chip"),
    ({}, machine(driver="5.5.0"), "smolvlm-500m-instruct-gguf", "no HEF is known to load on this chip"),
    # On the CPU what fits and is pleasant.
    (
        {},
        machine(8),
        "smolvlm-500m-instruct-gguf",
        "room for (1.2 GB) and that answers in good time (about 8 s)",
    ),
    (
        {},
        machine(4),
        "smolvlm-500m-instruct-gguf",
        "the largest on the CPU that 4.21 GB of memory has room for",
    ),
    ({}, machine(2), "smolvlm-256m-instruct-gguf", "about 4 s"),
    ({}, machine(32, cores=16), f"{QWEN}-gguf", "about 11 s"),
    ({}, machine(8, free=2 * 10**9), "smolvlm-500m-instruct-gguf", "the largest"),
    ({}, machine(8, free=9 * 10**8), "smolvlm-256m-instruct-gguf", "the largest"),
    (
        {},
        machine(8, gguf=False),
        f"{QWEN}-onnx",
        "slow: about 60 s an answer; models of llama.cpp are left out",
    ),
    ({}, machine(4, gguf=False), None, "no model for the CPU fits 4.21 GB of memory"),
    ({}, machine(0.5), None, "the smallest, smolvlm-256m-instruct-gguf, takes 700 MB"),
    ({"backend": "cpu"}, machine(driver="5.2.0"), "smolvlm-500m-instruct-gguf", "the largest"),
    ({"backend": "npu"}, NONE, None, "no chip, driver and HailoRT are found"),
    ({"backend": "npu"}, machine(driver="5.5.0"), None, "no HEF is known to load"),
    ({"model": "demo"}, machine(driver="5.2.0"), None, ""),
    ({"model": "shapes"}, machine(driver="5.2.0"), None, ""),
    ({"model_dir": "/srv/m"}, machine(driver="5.2.0"), None, ""),
    ({"model": f"{QWEN}-hailo10h-5.1.1"}, NONE, f"{QWEN}-hailo10h-5.1.1", "its YAML names it"),
    # What is begun is carried out, whatever the disk looks like meanwhile.
    (
        {},
        machine(driver="5.4.0", free=0, begun=frozenset({f"{QWEN}-hailo10h-5.4.0"})),
        f"{QWEN}-hailo10h-5.4.0",
        "made for HailoRT 5.4.0",
    ),
]


@pytest.mark.parametrize(("values", "here", "name", "why"), CASES, ids=range(len(CASES)))
def test_vision(places: Paths, values: dict[str, Any], here: Machine, name: str | None, why: str) -> None:
    found = selected("hailo-vision", Vision(**values), load_catalogue(places), here)
    assert (found.model.name if found.model else None) == name
    assert why in found.reason


@pytest.mark.parametrize(
    ("here", "name"),
    [
        (machine(8), "florence-2-base-ft-onnx"),
        (machine(4), "florence-2-base-ft-onnx"),
        (machine(2), "florence-2-base-ft-onnx-q4"),
        (machine(8, gguf=False), "florence-2-base-ft-onnx"),
        (machine(8, driver="5.2.0"), "florence-2-base-ft-onnx"),
    ],
)
def test_florence_takes_the_cpu_as_long_as_there_are_no_hefs(places: Paths, here: Machine, name: str) -> None:
    found = selected("hailo-florence", Florence(), load_catalogue(places), here)
    assert found.model
    assert found.model.name == name


def test_this_machine_is_looked_at(places: Paths) -> None:
    here = find_machine(places)
    assert here.memory > 10**8
    assert here.cores >= 1
    assert here.free > 0
    assert here.begun == frozenset()
    (places.store() / "toy").mkdir(parents=True)
    library = places.root / "usr/lib/aarch64-linux-gnu/hailo-llama/libllama.so"
    library.parent.mkdir(parents=True)
    library.touch()
    here = find_machine(places)
    assert (here.begun, here.formats) == (frozenset({"toy"}), GGUF)


def test_names_are_checked(places: Paths) -> None:
    with pytest.raises(ConfigError, match="did you mean florence-2-base-ft-onnx"):
        selected("hailo-florence", Florence(model="florence-2-base-onnx"), load_catalogue(places), NONE)
    with pytest.raises(ConfigError, match="qwen2-vl-2b-instruct-onnx is for hailo-vision"):
        selected("hailo-florence", Florence(model="qwen2-vl-2b-instruct-onnx"), load_catalogue(places), NONE)


def test_what_this_machine_wants(places: Paths) -> None:
    admin = places.admin("hailo-florence")
    admin.parent.mkdir(parents=True)
    admin.write_text("model: demo\n")
    fetch = FetchSettings(models=("florence-2-base-hailo8",))
    wanted = selected_models(places, load_catalogue(places), fetch, machine(driver="5.2.0"))
    assert [(each.model.name, each.reason) for each in wanted] == [
        ("qwen2-vl-2b-instruct-hailo10h-5.2.0", "hailo-vision uses it: made for HailoRT 5.2.0"),
        ("florence-2-base-hailo8", "hailo-fetch.yaml names it"),
    ]


def demos(places: Paths) -> Demos:
    package = places.demos() / "florence-2-everyday", places.demos() / "florence-2"
    return Demos(places.root / "demo", places.root / "shapes", package)


def folder(places: Paths, **values: Any) -> str:
    (served,) = choose_folders(
        "hailo-florence", Florence(**values), places, demos=demos(places), machine=NONE
    )
    choice = served.choice
    awaits = f" instead of {choice.awaited.name}" if choice.awaited and choice.ready else ""
    return f"{choice.folder}{awaits}".removeprefix(str(places.root))


def put(path: Path, size: int | None = 2) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    if size is not None:
        os.truncate(path, size)


def test_the_folder(places: Paths) -> None:
    assert folder(places, model_dir="/srv/m") == "/srv/m"
    assert folder(places, model="demo") == folder(places, model="shapes") == "/shapes"
    put(places.root / "demo/config.json")
    assert (folder(places, model="demo"), folder(places, model="shapes")) == ("/demo", "/shapes")
    assert folder(places) == "/var/lib/hailo-models/florence-2-base-ft-onnx"
    put(places.demos() / "florence-2/config.json")
    assert folder(places) == "/usr/share/hailo-demo-models/florence-2 instead of florence-2-base-ft-onnx"
    put(places.demos() / "florence-2-everyday/config.json")
    stand_in = "/usr/share/hailo-demo-models/florence-2-everyday"
    assert folder(places) == f"{stand_in} instead of florence-2-base-ft-onnx"
    name = "florence-2-base-ft-onnx"
    assert folder(places, model=name) == f"/var/lib/hailo-models/{name}"
    for file in MODELS[name].files:
        put(places.store() / name / file.path, file.size)
    assert folder(places) == f"/var/lib/hailo-models/{name}"
    put(places.models("hailo-florence") / "config.json")
    assert folder(places) == "/var/lib/hailo-florence/models"


def test_several_models_each_have_their_folder_and_are_wanted(places: Paths) -> None:
    models = ("eye=qwen2-vl-2b-instruct-onnx", "/srv/night", "demo")
    settings = Vision(backend="cpu", models=models, model_keep_alive=("night=0", "demo=10m"), keep_alive_s=60)
    chosen = choose_folders("hailo-vision", settings, places, demos=demos(places), machine=NONE)
    root = str(places.root)
    assert [(each.name, str(each.choice.folder).removeprefix(root), each.keep_s) for each in chosen] == [
        ("eye", "/var/lib/hailo-models/qwen2-vl-2b-instruct-onnx", 60),
        ("night", "/srv/night", 0),
        ("demo", "/shapes", 600),
    ]
    wanted = [
        selected("hailo-vision", settings.alone(key.source), load_catalogue(places), NONE).model
        for key in settings.served()
    ]
    assert [model and model.name for model in wanted] == ["qwen2-vl-2b-instruct-onnx", None, None]


def test_another_model_that_fits_stands_in(places: Paths) -> None:
    q4 = MODELS["florence-2-base-ft-onnx-q4"]
    for file in q4.files:
        put(places.store() / q4.name / file.path, file.size)
    assert folder(places) == f"/var/lib/hailo-models/{q4.name} instead of florence-2-base-ft-onnx"
    os.truncate(places.store() / q4.name / "config.json", 1)
    assert folder(places) == "/var/lib/hailo-models/florence-2-base-ft-onnx"


def test_no_model_at_all_that_fits(places: Paths) -> None:
    settings = Florence()
    here = machine(0.25)
    (served,) = choose_folders("hailo-florence", settings, places, demos=demos(places), machine=here)
    assert (served.choice.ready, served.choice.awaited) == (False, None)


def test_the_chip_is_known_without_its_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fetcher's unit has no devices; it must come to the same choice as the service."""
    assert find_npu(tmp_path) == NpuPresence()
    entry = tmp_path / "sys/class/hailo_chardev/hailo0"
    entry.mkdir(parents=True)
    (entry / "accelerator_type").write_text("1\n")
    version = tmp_path / "sys/module/hailo1x_pci/version"
    put(version)
    version.write_text("5.2.0\n")
    monkeypatch.setattr("hailo_common.models.machine.has_library", lambda folder: True)
    assert find_npu(tmp_path) == NpuPresence("hailo10h", "5.2.0")
    (entry / "accelerator_type").write_text("0\n")
    assert find_npu(tmp_path) == NpuPresence("hailo8", "5.2.0")
    monkeypatch.setattr("hailo_common.models.machine.has_library", lambda folder: False)
    assert find_npu(tmp_path) == NpuPresence()
