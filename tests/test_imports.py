"""The rules of the house: who may import whom, and what the HTTP process must never load."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Container, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("hailo_common", "hailo_florence", "hailo_vision")
NATIVE = {
    "onnxruntime": {"hailo_common/inference/onnx.py"},
    "onnx": {"hailo_florence/onnx/quantise.py"},
    "hailo_platform": {"hailo_common/npu/hailort.py"},
    "PIL": {f"hailo_common/images/{name}.py" for name in ("avif", "decode", "heif/heic")},
    "jinja2": {"hailo_vision/text/template.py"},
    "llguidance": {"hailo_vision/text/grammar.py"},
    "tokenizers": {"hailo_common/inference/tokenizer.py"},
    "urllib3": {"hailo_common/models/http.py"},
}
NEVER = {"torch", "transformers", "requests", "urllib", "fleet", "training", "tests"}
NEVER_IN_HTTP = {
    *("numpy", "PIL", "onnxruntime", "hailo_platform", "tokenizers", "transformers", "torch"),
    *("jinja2", "llguidance", "urllib3", "onnx"),
}
ROOMS = {
    # room: what must not be imported there, however far up or down the room lies
    "hailo_common": {
        "config": {"web", "engine", "images", "ipc", "inference", "npu", "models", "systemd", "cli"},
        "ipc": {"web", "engine", "images", "inference", "npu", "models", "systemd", "cli", "config"},
        "images": {"web", "engine", "inference", "npu", "models", "systemd", "cli", "config"},
        "npu": {"web", "engine", "images", "inference", "models", "systemd", "cli", "config"},
        "systemd": {"web", "engine", "images", "inference", "npu", "models", "cli", "config"},
        "inference": {"web", "images", "models", "systemd", "cli", "config"},
        "models": {"web", "engine", "images", "inference", "systemd", "cli", "ipc"},
        "engine": {"web", "inference", "models", "cli", "config"},
        "web": {"inference", "models", "cli", "config", "ipc"},
        "cli": {"web", "engine", "inference", "ipc"},
        "remote_images": {"web", "engine", "inference", "models", "cli"},
    },
    "hailo_florence": {
        "api": {"onnx", "npu", "model", "engine", "build", "service"},
        "model": {"api", "onnx", "npu", "engine", "build", "service"},
        "onnx": {"api", "npu", "engine", "build", "service"},
        "npu": {"api", "onnx", "engine", "build", "service"},
    },
    "hailo_vision": {
        "api": {"onnx", "npu", "gguf", "engine_factory", "service"},
        "text": {"api", "onnx", "npu", "gguf", "engine_factory", "service"},
        "onnx": {"api", "npu", "gguf", "engine_factory", "service"},
        "npu": {"api", "onnx", "gguf", "engine_factory", "service"},
        "gguf": {"api", "onnx", "npu", "engine_factory", "service"},
    },
}
"""Rooms by folder, each with the rooms and modules that it must not import."""
ENGINES = {"hailo_florence": "hailo_florence.engine", "hailo_vision": "hailo_vision.engine_factory"}
MOST_LINES, MOST_MODULES = 400, 16


def files(package: str) -> list[Path]:
    """Every module of a package."""
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """The full names a module imports at run time, wherever in it."""
    for node in _runtime_nodes(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _runtime_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        yield node
        yield from _runtime_nodes(node)


def roots(path: Path) -> set[str]:
    """The top-level names a module imports."""
    return {name.split(".")[0] for name in imports(path)}


@pytest.mark.parametrize("package", PACKAGES)
def test_services_never_import_each_other_and_the_core_imports_neither(package: str) -> None:
    others = set(PACKAGES) - {package, "hailo_common"}
    for path in files(package):
        assert not roots(path) & others, path


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_imports_what_the_product_must_not_have(package: str) -> None:
    for path in files(package):
        names = roots(path) - ({"urllib"} if "urllib.parse.urlsplit" in imports(path) else set())
        assert not names & NEVER, path


def test_the_fleets_repository_needs_python_alone() -> None:
    """It runs where neither the services nor a virtual environment are."""
    for path in files("fleet"):
        assert roots(path) <= sys.stdlib_module_names | {"fleet"}, path


@pytest.mark.parametrize(("library", "allowed"), NATIVE.items())
def test_each_native_library_has_its_modules(library: str, allowed: set[str]) -> None:
    users = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in files(package)
        if library in roots(path)
    }
    assert users <= allowed


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_run_one_way(package: str) -> None:
    for room, closed in ROOMS[package].items():
        forbidden = {f"{package}.{name}" for name in closed}
        for path in files(f"{package}/{room}"):
            for name in imports(path):
                assert not any(name == f or name.startswith(f"{f}.") for f in forbidden), (path, name)


@pytest.mark.parametrize("package", ENGINES)
def test_the_http_side_and_the_engine_side_share_no_module(package: str) -> None:
    """The HTTP process only names its engine; requests cross as JSON."""
    known = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in files(package)}

    def reached(module: str) -> set[str]:
        found, waiting = set(), {module}
        while waiting:
            found |= waiting
            waiting = {name for each in waiting for name in _modules(known[each], known)} - found
        return found

    shared = reached(f"{package}.service") & reached(ENGINES[package])
    assert not {name for name in shared if name.split(".")[1] in {"onnx", "npu", "model", "text", "api"}}


def _modules(path: Path, known: Container[str]) -> set[str]:
    """The modules among `known` that a file imports, or imports something of."""
    return {part for name in imports(path) for part in (name, name.rpartition(".")[0]) if part in known}


@pytest.mark.parametrize(
    "module", [f"{service}.{part}" for service in ENGINES for part in ("service", "__main__")]
)
def test_the_http_process_loads_no_inference_library(module: str) -> None:
    program = f"import sys, {module}; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not set(loaded.stdout.split()) & NEVER_IN_HTTP


@pytest.mark.parametrize("service", ENGINES)
def test_the_engine_starts_before_the_web_framework_is_imported(service: str) -> None:
    program = f"import sys, {service}.__main__; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not set(loaded.stdout.split()) & {"fastapi", "starlette", "uvicorn", "pydantic"}


def test_the_decoder_loads_no_http_and_no_inference_library() -> None:
    program = "import sys, hailo_common.images.child; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not set(loaded.stdout.split()) & (NEVER_IN_HTTP - {"PIL"} | {"fastapi", "uvicorn", "starlette"})


def test_no_wall_clock_measures_time() -> None:
    """I4 of tests/threats.md: the clock of a Pi without a battery jumps by years."""
    for package in PACKAGES:
        for path in files(package):
            assert "time.time()" not in path.read_text(encoding="utf-8"), path


def test_files_and_folders_stay_small() -> None:
    """Over these measures a module, or a folder, has two jobs."""
    for package in (*PACKAGES, "fleet"):
        for path in files(package):
            assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES, path
        for folder in {path.parent for path in files(package)}:
            modules = [
                path.name for path in folder.glob("*.py") if path.name not in {"__init__.py", "__main__.py"}
            ]
            assert len(modules) <= MOST_MODULES, folder
