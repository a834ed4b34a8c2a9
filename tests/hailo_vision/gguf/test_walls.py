"""Threat F1 of tests/threats.md for llama.cpp: behind the walls it loads and answers, and gets nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hailo_common.ipc import landlock, seccomp
from tests.hailo_florence.api.running import Running
from tests.hailo_vision.gguf.test_service import ask, said, service

__all__ = ["service"]
ROOT = Path(__file__).parents[3]
ATTACKS = {"key file", "a file beside the model", "a program"}


@pytest.fixture
def place(demo: Path) -> Iterator[Path]:
    """A folder that is none of the system's, with the model and a file that is none of the model's."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        path = Path(folder)
        (path / "keys").write_text("first-secret-key\n")
        shutil.copytree(demo, path / "model")
        yield path


def tried(walls: str, place: Path) -> dict[str, Any]:
    """What such a process said, and could do."""
    words = [sys.executable, "-m", "tests.hailo_vision.gguf.walled", walls]
    words += [str(place / "model"), str(place / "keys")]
    done = subprocess.run(words, capture_output=True, cwd=ROOT, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_it_answers_behind_the_walls_as_without_and_gets_nothing(place: Path) -> None:
    without, behind = (tried(walls, place) for walls in ("none", "engine"))
    assert {name for name in ATTACKS if without[name] == "got"} == ATTACKS
    assert behind["answers"] == without["answers"]
    assert "green square" in behind["answers"][0]
    assert behind["threads"] > 1
    if not behind["missing"]:
        assert not {name for name in ATTACKS if behind[name] == "got"}
    assert behind["missing"] == [] or not (landlock.version() and seccomp.available())


def test_the_engine_of_a_service_has_all_of_them(service: Running) -> None:
    assert "red circle" in said(ask(service))
    status = Path(f"/proc/{service.pid()}/status").read_text()
    assert "\nNoNewPrivs:\t1\n" in status
    if seccomp.available():
        assert "\nSeccomp:\t2\n" in status
    if seccomp.available() and landlock.version():
        assert "less confined" not in service.log
