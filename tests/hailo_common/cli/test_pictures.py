"""`hailo-ctl ask` and `caption` against real services on their demo models."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.conftest import BLUE, GREEN, RED, drawn
from tests.hailo_common.cli.conftest import Machine
from tests.hailo_florence.api.running import FAKE, FAKE_VISION, FLORENCE, Running, free_port, started

KEY = "a-key-for-people"


@pytest.fixture(scope="module")
def vision() -> Iterator[Running]:
    with started(("hailo_vision", "--demo", "shapes")) as running:
        yield running


@pytest.fixture(scope="module")
def florence() -> Iterator[Running]:
    with started(FLORENCE) as running:
        yield running


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """A folder as people have them."""
    folder = tmp_path / "album"
    (folder / "older").mkdir(parents=True)
    (folder / ".trash").mkdir()
    (folder / "b.png").write_bytes(drawn(("circle", RED, 240)))
    (folder / "older" / "a.PNG").write_bytes(drawn(("square", BLUE, 240)))
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff but no more")
    (folder / "notes.txt").write_text("not a picture")
    (folder / ".trash" / "c.png").write_bytes(b"")
    return folder


def serving(machine: Machine, running: Running | int, service: str, more: str = "") -> None:
    port = running if isinstance(running, int) else running.port
    machine.put(f"etc/hailo/{service}.yaml", f"port: {port}\n{more}")


def test_a_question_is_answered(machine: Machine, vision: Running, album: Path) -> None:
    serving(machine, vision, "hailo-vision")
    picture = str(album / "b.png")
    done = machine.ctl("ask", picture, "What color is the circle?")
    assert (done.status, done.out) == (0, "red\n"), done.err
    named = machine.ctl("ask", "--model", "qwen2-vl-2b-instruct", picture, "What color is the circle?")
    assert named.out == "red\n"
    two = machine.ctl("ask", picture, str(album / "older"), "How many images are there?", "--max-tokens", "9")
    assert two.status == 0
    whole = machine.ctl("ask", "--json", picture, "What color is the circle?").json()
    assert whole["choices"][0]["message"]["content"] == "red"
    assert "demo model" in machine.ctl("ask", "Who are you?").out


def test_a_question_that_is_none_is_told(machine: Machine, vision: Running, album: Path) -> None:
    serving(machine, vision, "hailo-vision")
    picture = str(album / "b.png")
    for words, told in (
        ((picture,), f"{picture}: a file and no question"),
        (
            (picture, "What", "color", "is", "it"),
            "What: no such file; a question of several words stands in quotes",
        ),
    ):
        done = machine.ctl("ask", *words)
        assert (done.status, done.out) == (os.EX_USAGE, "")
        assert told in done.err


def test_standard_input_is_a_picture(
    machine: Machine, vision: Running, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving(machine, vision, "hailo-vision")
    data = io.BytesIO((album / "b.png").read_bytes())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(data))
    assert machine.ctl("ask", "-", "What color is the circle?").out == "red\n"


def test_a_terminal_sees_the_answer_come(machine: Machine, album: Path) -> None:
    slow = json.dumps({"words": ["one", "two\x1b", "three"], "step_s": 0.3})
    with started(FAKE_VISION) as running:
        serving(machine, running, "hailo-vision")
        words = ("ask", str(album / "b.png"), slow, "--root", str(machine.root))
        leader, follower = pty.openpty()
        with subprocess.Popen(
            [sys.executable, "-m", "hailo_common.cli.main", *words], stdout=follower
        ) as ctl:
            os.close(follower)
            pieces = list(iter(lambda: _read(leader), b""))
    assert ctl.returncode == 0
    assert b"".join(pieces).replace(b" ", b"") == b"onetwo\\u001bthree\r\n"
    assert len(pieces) > 2
    os.close(leader)


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 1000)
    except OSError:  # what a terminal says at its end
        return b""


def test_what_is_wrong_is_said_with_a_status(machine: Machine, vision: Running, album: Path) -> None:
    serving(machine, vision, "hailo-vision")
    picture = str(album / "b.png")
    wrong = machine.ctl("ask", "--model", "other", picture, "What is it?")
    assert (wrong.status, wrong.out) == (1, "")
    assert 'There is no such model here as "other"; this service has qwen2-vl-2b-instruct' in wrong.err
    broken = machine.ctl("ask", str(album / "broken.jpg"), "What is it?")
    assert broken.status == 1
    assert "hailo-ctl: " in broken.err
    missing = machine.ctl("ask", "/nonexistent.jpg", "What is it?")
    assert (missing.status, missing.err) == (74, "hailo-ctl: /nonexistent.jpg: No such file or directory\n")
    pipe = album / "pipe"
    os.mkfifo(pipe)
    assert "not a file" in machine.ctl("ask", str(pipe), "What is it?").err
    large = album / "large.jpg"
    large.touch()
    os.truncate(large, 11 << 20)
    assert "max_image_bytes" in machine.ctl("ask", str(large), "What is it?").err
    serving(machine, free_port(), "hailo-vision")
    away = machine.ctl("ask", picture, "What is it?")
    assert away.status == 75
    assert "Connection refused; see: hailo-ctl status" in away.err


def test_a_key_is_used_and_its_lack_is_told(machine: Machine, album: Path) -> None:
    picture = str(album / "b.png")
    with started(FAKE_VISION, "--settings", json.dumps({"api_keys": [KEY]})) as running:
        serving(machine, running, "hailo-vision")
        without = machine.ctl("ask", picture, "Hello?")
        assert without.status == 77
        assert "try with sudo" in without.err
        serving(machine, running, "hailo-vision", f"api_keys: [{KEY}]\n")
        assert machine.ctl("ask", picture, "Hello?").out == "Hello? \n"


def test_captions_of_a_folder(machine: Machine, florence: Running, album: Path) -> None:
    serving(machine, florence, "hailo-florence")
    done = machine.ctl("caption", str(album))
    assert done.status == 1
    assert done.out.splitlines() == [
        f"{album}/b.png: a red circle",
        f"{album}/older/a.PNG: a blue square",
    ]
    assert done.err.startswith(f"hailo-ctl: {album}/broken.jpg: ")
    (album / "broken.jpg").write_bytes(drawn(("circle", GREEN, 240)))
    lines = machine.ctl("caption", "--json", str(album), "--detail", "short")
    assert lines.status == 0
    told = [json.loads(line) for line in lines.out.splitlines()]
    assert [Path(each["file"]).name for each in told] == ["b.png", "broken.jpg", "a.PNG"]
    assert told[1]["caption"] == "a green circle"
    assert told[0]["inference_time_ms"] > 0
    assert told[0]["model"]
    (album / "broken.jpg").write_bytes(b"")
    failed = machine.ctl("caption", "--json", str(album / "broken.jpg"))
    assert failed.status == 1
    assert failed.json()["error"]


def test_progress_is_for_terminals(machine: Machine, florence: Running, album: Path) -> None:
    serving(machine, florence, "hailo-florence")
    (album / "broken.jpg").unlink()
    words = ("caption", str(album), "--root", str(machine.root))
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "hailo_common.cli.main", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=follower) as ctl:
        os.close(follower)
        told = b"".join(iter(lambda: _read(leader), b""))
        assert ctl.stdout is not None
        assert len(ctl.stdout.read().splitlines()) == 2
    os.close(leader)
    assert b"1/2 b.png" in told
    assert b"2/2 a.PNG" in told
    assert told.endswith(b"\r\x1b[K")


def test_vision_describes_where_florence_is_not(
    machine: Machine, vision: Running, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hailo_common.cli.pictures.installed_services", lambda: ["hailo-vision"])
    serving(machine, vision, "hailo-vision")
    assert machine.ctl("caption", str(album / "b.png")).out == f"{album}/b.png: A red circle.\n"
    monkeypatch.setattr("hailo_common.cli.pictures.installed_services", list)
    none = machine.ctl("caption", str(album / "b.png"))
    assert none.status == 78
    assert "sudo apt install hailo-florence" in none.err


def test_a_busy_service_is_asked_again(machine: Machine, album: Path) -> None:
    with started(FAKE, "--options", '{"step_s": 0.4}', "--settings", '{"queue_size": 1}') as running:
        serving(machine, running, "hailo-florence")
        image = {"image": ("a.png", (album / "b.png").read_bytes())}
        others = [
            threading.Thread(target=running.client.post, args=("/v1/caption",), kwargs={"files": image})
            for _ in range(2)
        ]
        for thread in others:
            thread.start()
        running.until(lambda: running.health()["queue"]["waiting"] == 1, 5)
        done = machine.ctl("caption", str(album / "b.png"))
        for thread in others:
            thread.join()
    assert done.status == 0, done.err


def test_an_empty_folder_is_told(machine: Machine, tmp_path: Path) -> None:
    serving(machine, 4711, "hailo-florence")
    (tmp_path / "empty").mkdir()
    done = machine.ctl("caption", str(tmp_path / "empty"))
    assert done.status == 1
    assert "no picture" in done.err
