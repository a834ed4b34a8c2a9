"""A real service whose model is still to come."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.hailo_florence.api.running import FLORENCE, free_port, started
from tests.hailo_florence.cases import DEMO


def test_a_model_that_is_copied_is_loaded_without_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with started(FLORENCE, "--model", str(folder), ready=False) as service:
        service.until(lambda: service.client.get("/health/ready").status_code == 503)
        answer = service.client.post("/v1/caption", files={"image": b"not looked at"})
        assert answer.status_code == 503
        assert f"there is no model in {folder}" in answer.json()["message"]
        report = service.health()
        assert (report["status"], report["engine"]["pid"]) == ("unhealthy", None)
        assert report["model_source"]["awaits"].startswith("there is no model in")
        assert f"nothing to load yet: there is no model in {folder}" in service.log
        shutil.copytree(DEMO, folder)
        copied = time.monotonic()
        service.until(lambda: service.health()["engine"]["pid"] is not None, 20)
        assert time.monotonic() - copied < 5
        service.until_ready()
        report = service.health()
        assert (report["demo"], report["engine"]["restarts"]) == (True, 0)
        assert report["model_source"]["awaits"] is None
        assert "WARNING" not in service.log.upper()


def test_what_a_folder_lacks_is_noticed_when_it_comes(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(DEMO, folder)
    (folder / "tokenizer.json").rename(tmp_path / "tokenizer.json")
    with started(FLORENCE, "--model", str(folder), ready=False) as service:
        # By now the engine waits for many seconds between its own tries.
        service.until(lambda: service.health()["engine"]["restarts"] >= 4)
        (tmp_path / "tokenizer.json").rename(folder / "tokenizer.json")
        came = time.monotonic()
        service.until(lambda: service.health()["engine"]["phase"] in ("loading", "ready"), 20)
        service.until_ready(20)
        assert time.monotonic() - came < 15


def test_a_missing_folder_in_a_terminal_says_what_to_do_and_ends(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", *FLORENCE, "--port", str(free_port()), "--model", str(tmp_path / "no")]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    try:
        assert process.wait(30) == 1
        said = os.read(ours, 4096).decode()
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert f"there is no model in {tmp_path / 'no'}; give --model a folder that holds one" in said
