"""Simon Willison's `llm`, configured by the file of its documentation."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients.conftest import NOT_IN_DEBIAN, RED, drawn

pytest.importorskip("llm", reason=NOT_IN_DEBIAN)

MODELS = """\
- model_id: hailo
  model_name: qwen2-vl-2b-instruct
  api_base: {base_url}
  vision: true
"""


def run(folder: Path, *words: str) -> str:
    environ = {**os.environ, "LLM_USER_PATH": str(folder), "OPENAI_API_KEY": "any"}
    command = [sys.executable, "-m", "llm", *words]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_file_is_asked_about_and_asked_again(base_url: str, tmp_path: Path) -> None:
    (tmp_path / "extra-openai-models.yaml").write_text(MODELS.format(base_url=base_url))
    picture = tmp_path / "photo.png"
    picture.write_bytes(drawn(("circle", RED, 240)))
    assert run(tmp_path, "-m", "hailo", "What color is the circle?", "-a", str(picture)) == "red"
    assert run(tmp_path, "-m", "hailo", "-c", "How many objects are there?", "--no-stream") == "1"
