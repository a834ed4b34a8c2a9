"""Traps of libmtmd in a server: odd pictures, many at once, giving up, and what a process must not do."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hailo_common.errors import InvalidParameter
from hailo_vision.config import VisionSettings
from hailo_vision.gguf.engine import make_gguf_engine
from tests.hailo_florence.api.running import Running, started
from tests.hailo_vision.gguf.conftest import Load, Talk
from tests.hailo_vision.gguf.test_engine import scenes
from tests.hailo_vision.gguf.test_service import ask, body, configured, said
from tests.hailo_vision.gguf.tiny import FAMILIES, write_family
from tests.hailo_vision.talk import noise, question, vision_request

ODD = ((1, 1), (1, 2000), (3000, 10), (10, 3000), (2, 2), (3, 1), (17, 19), (2048, 2048))


@pytest.fixture(scope="module", params=list(FAMILIES))
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Talk]:
    """Each family for five conversations at once."""
    folder = tmp_path_factory.mktemp("tiny")
    write_family(request.param, folder)
    options = {**VisionSettings().engine_options(), "threads": 1, "model_dir": str(folder)}
    with make_gguf_engine({**options, "max_num_seqs": 5, "max_image_tokens": 400}) as engine:
        engine.load()
        yield Talk(engine)


@pytest.mark.parametrize("size", ODD)
def test_odd_pictures_are_answered(tiny: Talk, size: tuple[int, int]) -> None:
    """Even those that the decoder would never hand over."""
    width, height = size
    image = np.full((height, width, 3), 77, np.uint8)
    asked = vision_request(question(0, "What?", max_tokens=2))
    assert tiny.ask(asked, [image]).completion_tokens
    assert tiny.ask(vision_request(question("Still there?", max_tokens=2))).completion_tokens


def test_a_picture_of_more_tokens_than_a_step_reads(load: Load, tmp_path: Path) -> None:
    write_family("qwen3-vl", tmp_path)
    talk = load(tmp_path, max_image_tokens=1024, max_num_seqs=2)
    assert talk.engine._batching._most_rows == 512
    result = talk.ask(vision_request(question(0, "What?", max_tokens=2)), [noise(1, 32, 32, 32)])
    assert result.image_tokens == 1024
    assert result.completion_tokens == 2


def test_five_pictures_at_once_in_five_slots(tiny: Talk) -> None:
    images = [noise(number, 6, 8, 32) for number in range(5)]
    asked = [vision_request(question(0, f"Number {number}?", max_tokens=4)) for number in range(5)]
    numbers = [tiny.begin(request, [image]) for request, image in zip(asked, images, strict=True)]
    assert len(tiny.finish(*numbers)) == 5


def test_pictures_that_fill_the_context_are_refused_with_numbers_and_no_harm(demo: Path, load: Load) -> None:
    talk = load(demo, max_num_seqs=2, conversation_cache_mb=0, picture_cache_mb=0, max_images=64)
    images = scenes(12)
    fits = vision_request(question(*range(12), "How many images?", max_tokens=4))
    assert talk.ask(fits, images).image_tokens > 12 * 50
    many = [images[number % 12] for number in range(40)]
    with pytest.raises(InvalidParameter, match="holds 2048 tokens") as caught:
        talk.begin(vision_request(question(*range(40), "How many images?")), many)
    assert caught.value.code == "context_length_exceeded"
    assert talk.ask(fits, images).completion_tokens


def test_an_engine_answers_while_a_picture_is_encoded(load: Load, demo: Path) -> None:
    talk = load(demo, max_num_seqs=2, conversation_cache_mb=0, picture_cache_mb=0)
    encoder = talk.engine._encoder
    assert encoder is not None
    begun, go_on = threading.Event(), threading.Event()
    original = encoder.projector.encode

    def slow(image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> object:
        begun.set()
        assert go_on.wait(30)
        return original(image)

    encoder.projector.encode = slow  # type: ignore[method-assign, assignment]
    try:
        waiting = talk.begin(vision_request(question(0, "What?")), scenes(1))
        assert begun.wait(30)
        # Others go on meanwhile, and each step comes back soon.
        assert talk.ask(vision_request(question("Who are you?", max_tokens=4))).completion_tokens
        at = time.monotonic()
        talk.step()
        assert time.monotonic() - at < 5
        talk.engine.cancel(waiting)
        assert talk.ask(vision_request(question("And now?", max_tokens=4))).completion_tokens
    finally:
        go_on.set()
        encoder.projector.encode = original  # type: ignore[method-assign]
    assert talk.ask(vision_request(question(0, "What?", max_tokens=4)), scenes(1)).completion_tokens


@pytest.fixture(scope="module")
def service(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The real service, after it has answered."""
    with started(configured(demo, tmp_path_factory.mktemp("traps") / "c.json")) as running:
        assert "red circle" in said(ask(running))
        yield running


def test_no_socket_listens_but_the_service(service: Running) -> None:
    engine = service.pid()
    inodes = sockets(engine)
    for table in ("tcp", "tcp6", "unix"):
        for line in Path(f"/proc/{engine}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            listens = fields[3] == "00010000" if table == "unix" else fields[3] == "0A"
            inode = fields[6] if table == "unix" else fields[9]
            assert not (listens and inode in inodes), line


def sockets(process: int) -> set[str]:
    """The numbers of the sockets that a process holds."""
    links = [str(path.readlink()) for path in Path(f"/proc/{process}/fd").iterdir() if path.is_symlink()]
    return {link[8:-1] for link in links if link.startswith("socket:[")}


def test_no_memory_of_the_engine_is_writable_and_executable(service: Running) -> None:
    lines = Path(f"/proc/{service.pid()}/maps").read_text().splitlines()
    assert [line for line in lines if {"w", "x"} <= set(line.split()[1])] == []
    assert any("llama" in line for line in lines)


def test_the_engine_starts_no_process(service: Running) -> None:
    engine = service.pid()
    service.client.post("/v1/chat/completions", json=body())
    children = [path.read_text() for path in Path(f"/proc/{engine}/task").glob("*/children")]
    assert "".join(children).strip() == ""
    environment = Path(f"/proc/{engine}/maps").read_text()
    assert "ffmpeg" not in environment
