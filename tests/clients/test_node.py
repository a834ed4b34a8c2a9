"""The clients of Node.js: openai, Vercel's AI SDK, LangChain and ollama, fetched once into .cache/clients."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clients.conftest import RED, drawn
from tests.hailo_florence.api.running import Running

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".cache/clients"
SEEN = {"color": "red", "shape": "circle"}
NPM, NODE = shutil.which("npm"), shutil.which("node")
pytestmark = pytest.mark.skipif(not (NPM and NODE), reason="Node.js is not installed")


@pytest.fixture(scope="module")
def folder() -> Path:
    """A folder with the libraries of package.json, installed if they are not."""
    CACHE.mkdir(parents=True, exist_ok=True)
    wanted, there = HERE / "package.json", CACHE / "package.json"
    if not (CACHE / "node_modules").exists() or there.read_bytes() != wanted.read_bytes():
        shutil.copy(wanted, there)
        command = [str(NPM), "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(CACHE)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
        if done.returncode:
            there.unlink()
            pytest.skip(f"npm could not fetch the libraries: {done.stderr.strip()[-200:]}")
    shutil.copy(HERE / "ask.mjs", CACHE / "ask.mjs")
    return CACHE


def test_they_all_get_true_answers(vision: Running, folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("llguidance", reason="llguidance comes with `make venv`; Debian 13 has none")
    picture = tmp_path / "photo.png"
    picture.write_bytes(drawn(("circle", RED, 240)))
    command = [str(NODE), str(folder / "ask.mjs"), f"http://127.0.0.1:{vision.port}", str(picture)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        **dict.fromkeys(("openai", "openaiStream", "openaiResponses", "langchain", "ollama"), "red"),
        **dict.fromkeys(("ai", "aiStream", "aiCompatible", "aiCompatibleStream"), "red"),
        **dict.fromkeys(("aiObject", "aiCompatibleObject", "jsonSchema", "functionCalling"), SEEN),
        "ollamaModels": "qwen2-vl-2b-instruct",
    }
