"""The simulator has the names and signatures of the real package, and the services use no others.

`tests/data/hailo_signatures.json` was read from HailoRT's own sources, not from the simulator.
"""

from __future__ import annotations

import ast
import copy
import inspect
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hailo_common.npu import types
from hailo_vision.npu import completion
from hailo_vision.protocol import Sampling
from tests.hailo_sim.running import environ
from tests.hailo_sim.surface import parameters
from tests.npu import VERSIONS, Machine

ROOT = Path(__file__).parent.parent.parent
REAL: dict[str, Any] = json.loads((ROOT / "tests/data/hailo_signatures.json").read_text(encoding="utf-8"))


def described(version: str) -> dict[str, Any]:
    """A version's names; one that equals another but for some methods is made of that one."""
    row = REAL["versions"][version]
    if "as" not in row:
        return dict(row)
    made = copy.deepcopy(described(row["as"]))
    for path, signature in row["changed"].items():
        name, _, method = path.rpartition(".")
        made["classes"][name]["methods"][method] = signature
    return made


KNOWN = {version: described(version) for version in REAL["versions"]}
MODULE = ROOT / "hailo_common" / "npu" / "hailort.py"
NATIVE = {"QuantInfo": "QuantInfo", "StreamFormat": "HailoFormat"}
CLASSES = {
    "InferStream": "InferModel.InferStream",
    "BoundStream": "ConfiguredInferModel.Bindings.InferStream",
    "Bindings": "ConfiguredInferModel.Bindings",
    "CompletionInfo": "AsyncInferCompletionInfo",
    "Completion": "LLMGeneratorCompletion",
    "Released": "VDevice",
    **{name: name for name in ("AsyncInferJob", "ConfiguredInferModel", "InferModel", "VLM", "VDevice")},
}
"""The real class behind each protocol of `hailo_common.npu.types`."""


@pytest.mark.parametrize("version", VERSIONS)
def test_the_simulator_offers_what_the_file_lists_and_nothing_else(version: str, tmp_path: Path) -> None:
    with Machine(tmp_path / "machine", version=version) as machine:
        command = [sys.executable, "-m", "tests.hailo_sim.surface"]
        made = subprocess.run(command, env=environ(machine), capture_output=True, check=True, timeout=120)
    offered = json.loads(made.stdout)
    assert offered.pop("enums") == KNOWN[version]["enums"]
    aliases = {"HailoRTPCIeDriverException", *(["HailoRTException"] if version != "5.1.1" else [])}
    offered["classes"] = {name: each for name, each in offered["classes"].items() if name not in aliases}
    for name, found in offered["classes"].items():
        assert found == KNOWN[version]["classes"].get(name), name
    assert offered == {key: KNOWN[version][key] for key in offered}


def find(version: str, path: str) -> dict[str, Any]:
    """A class of the file by its dotted name."""
    outer, *inner = path.split(".")
    found: dict[str, Any] = KNOWN[version]["classes"][outer]
    for name in inner:
        found = found["nested"][name]
    return found


def protocols() -> Iterator[type]:
    """The protocols that say what the services call."""
    for value in vars(types).values():
        if inspect.isclass(value) and value.__module__ == types.__name__:
            yield value


def members(kind: type) -> Iterator[tuple[str, Any]]:
    """A protocol's own public members."""
    yield from ((name, value) for name, value in vars(kind).items() if not name.startswith("_"))


@pytest.mark.parametrize("kind", list(protocols()), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("version", VERSIONS)
def test_the_services_call_only_what_is_there_in_every_version(kind: type, version: str) -> None:
    if kind.__name__ in NATIVE:
        assert {name for name, _ in members(kind)} <= set(REAL["native"][NATIVE[kind.__name__]])
        return
    real = find(version, CLASSES[kind.__name__])
    for name, value in members(kind):
        if isinstance(value, property):
            assert name in real["properties"], name
        else:
            check_parameters(name, parameters(value), real["methods"][name])


def check_parameters(name: str, used: list[list[str | None]], real: list[list[str | None]]) -> None:
    """Parameters of a protocol's method stand in the real one's order, with its defaults; none is missing."""
    named = [each for each in used if each[1] != "var_keyword"]
    assert [each[0] for each in named] == [each[0] for each in real[: len(named)]], name
    assert [each[2] for each in named] == [each[2] for each in real[: len(named)]], name
    assert all(each[2] is not None for each in real[len(named) :]), name


@pytest.mark.parametrize("version", VERSIONS)
def test_parameters_of_an_answer_are_named_as_the_library_names_them(version: str) -> None:
    known = {str(each[0]) for each in find(version, "VLM")["methods"]["generate"]}
    sampling = Sampling(temperature=0.7, top_p=0.9, top_k=40, seed=1, frequency=0.5, repetition=1.1)
    used = completion.parameters(sampling, 10)
    assert len(used) == 7
    assert set(used) <= known - {"self", "prompt", "frames"}


@pytest.mark.parametrize("version", VERSIONS)
def test_what_the_native_module_reaches_for_is_there(version: str) -> None:
    """Attributes of the imported package in the one module that imports it."""
    tree = ast.parse(MODULE.read_text(encoding="utf-8"))
    exports = KNOWN[version]["exports"]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hailo_platform"):
            assert {alias.name for alias in node.names} <= set(exports[node.module])
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("sdk", "self._sdk")
    }
    assert used
    assert used <= {*exports["hailo_platform"], "__version__"}
    set_params = {
        target.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Attribute) and ast.unparse(target.value) == "params"
    }
    assert set_params <= set(REAL["native"]["VDeviceParams"])
    assert {"identify", "get_chip_temperature"} <= set(find(version, "Control")["methods"])
