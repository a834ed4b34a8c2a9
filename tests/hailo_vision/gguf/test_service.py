"""The API over llama.cpp itself: the real service, over HTTP, on the demo model as GGUF files."""

from __future__ import annotations

import concurrent.futures
import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.hailo_florence.api.conftest import data_uri
from tests.hailo_florence.api.running import Running, started
from tests.hailo_florence.demo import encoded as scene_files
from tests.hailo_vision.api.conftest import CHAT, URI, events
from tests.hailo_vision.api.shapes import check_chunk, check_completion, check_error, check_models
from tests.hailo_vision.gguf.rawfile import read_raw

ENDS = {"772": -100, "770": -100}
"""A bias that lets no answer of the demo model end."""
SCHEMA = {
    "type": "object",
    "properties": {"count": {"type": "integer", "minimum": 0, "maximum": 9}, "seen": {"type": "boolean"}},
    "required": ["count", "seen"],
    "additionalProperties": False,
}


def configured(folder: Path, file: Path, **keys: Any) -> tuple[str, ...]:
    """A command line with the usual configuration file."""
    usual = {"model_dir": str(folder), "backend": "cpu", "threads": 1, "max_num_seqs": 4}
    file.write_text(json.dumps({**usual, "ping_interval_s": 0.2, **keys}))
    return ("hailo_vision", "--config", str(file))


@pytest.fixture(scope="module")
def service(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The service, four conversations at once."""
    command = configured(demo, tmp_path_factory.mktemp("service") / "hailo-vision.json")
    with started(command) as running:
        yield running


def body(text: str = "Describe the image.", *pictures: str, **more: Any) -> dict[str, Any]:
    """A question about pictures, the red circle where none is given."""
    parts = [{"type": "image_url", "image_url": {"url": uri}} for uri in pictures or (URI,)]
    content = [*parts, {"type": "text", "text": text}]
    fields = {"model": "qwen2-vl-demo", "temperature": 0, "max_tokens": 24, **more}
    return {**fields, "messages": [{"role": "user", "content": content}]}


def ask(running: Running, *what: str, **more: Any) -> dict[str, Any]:
    """The completion that answers it."""
    reply = running.client.post(CHAT, json=body(*what, **more))
    assert reply.status_code == 200, reply.text
    value = dict(reply.json())
    check_completion(value)
    return value


def said(value: dict[str, Any]) -> str:
    """The text of a completion."""
    return str(value["choices"][0]["message"]["content"])


def test_a_question_about_a_picture(service: Running) -> None:
    value = ask(service)
    assert "red circle" in said(value)
    assert value["choices"][0]["finish_reason"] == "stop"
    usage = value["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert 60 < usage["prompt_tokens"] < 120


def test_a_stream_is_the_same_text_token_by_token(service: Running) -> None:
    whole = ask(service)
    asked = body(stream=True, stream_options={"include_usage": True})
    *chunks, done = events(service.client.post(CHAT, json=asked).text)
    assert done == "[DONE]"
    for chunk in chunks:
        check_chunk(chunk)
    pieces = [chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"]]
    assert "".join(pieces) == said(whole)
    assert len([piece for piece in pieces if piece]) > 3
    counts = ("prompt_tokens", "completion_tokens", "total_tokens")
    assert [chunks[-1]["usage"][name] for name in counts] == [whole["usage"][name] for name in counts]


def test_json_stop_and_length(service: Running) -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "scene", "strict": True, "schema": SCHEMA}}
    value = json.loads(said(ask(service, "How many?", response_format=schema, max_tokens=60)))
    assert value.keys() == {"count", "seen"}
    assert value["count"] in range(10)
    whole = said(ask(service))
    word = whole.split()[2]
    cut = ask(service, stop=[word])
    assert (said(cut), cut["choices"][0]["finish_reason"]) == (whole.split(word)[0], "stop")
    short = ask(service, max_tokens=3)
    assert (short["choices"][0]["finish_reason"], short["usage"]["completion_tokens"]) == ("length", 3)
    assert whole.startswith(said(short).strip())


def test_several_turns_read_only_what_is_new(service: Running) -> None:
    first = body("How many objects are there?", user="several turns")
    answer = service.client.post(CHAT, json=first).json()
    turns = [{"role": "assistant", "content": said(answer)}, {"role": "user", "content": "What color is it?"}]
    second = service.client.post(CHAT, json={**first, "messages": [*first["messages"], *turns]}).json()
    check_completion(second)
    cached = second["usage"]["prompt_tokens_details"]["cached_tokens"]
    assert answer["usage"]["prompt_tokens"] <= cached < second["usage"]["prompt_tokens"]


def test_four_clients_at_once_each_with_an_end_of_its_own(service: Running) -> None:
    uris = [data_uri(data) for data in scene_files()[:4]]
    alone = [said(ask(service, "Describe the image.", uri)) for uri in uris]
    lengths = (7, 400, 90, 512)
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        same = [threads.submit(ask, service, "Describe the image.", uri) for uri in uris]
        long = [threads.submit(ask, service, max_tokens=n, logit_bias=ENDS, temperature=1) for n in lengths]
        assert [said(one.result()) for one in same] == alone
        counts = [one.result()["usage"]["completion_tokens"] for one in long]
    assert counts == list(lengths)


def test_a_deadline_ends_one_of_several(demo: Path, tmp_path: Path) -> None:
    command = configured(demo, tmp_path / "c.json", request_timeout_s=1, max_new_tokens=1900)
    with started(command) as running, concurrent.futures.ThreadPoolExecutor(5) as threads:
        asked = body(max_tokens=1900, logit_bias=ENDS, temperature=1, top_p=0.99)
        slow = [threads.submit(running.client.post, CHAT, json=asked) for _ in range(4)]
        running.until(lambda: running.health()["queue"]["running"] == 4)
        for reply in (one.result() for one in slow):
            check_error(reply.json())
            assert (reply.status_code, reply.json()["error"]["code"]) == (503, "engine_timeout")
        assert "red circle" in said(ask(running))
        assert running.health()["engine"]["restarts"] == 0


def test_a_client_that_hangs_up_frees_its_place_at_once(demo: Path, tmp_path: Path) -> None:
    with started(configured(demo, tmp_path / "c.json", max_num_seqs=1, max_new_tokens=1900)) as running:
        endless = body(max_tokens=1900, logit_bias=ENDS, temperature=1, stream=True)
        read = 0
        with running.client.stream("POST", CHAT, json=endless) as reply:
            for line in reply.iter_lines():
                read += line.startswith("data: ")
                if read == 5:
                    break
        running.until(lambda: running.health()["queue"]["running"] == 0, 5)
        written = tokens_written(running)
        assert "red circle" in said(ask(running))
        assert tokens_written(running) - written < 30
        assert written < 1800


def tokens_written(running: Running) -> int:
    """What the metrics say of all answers' tokens."""
    lines = running.client.get("/metrics").text.splitlines()
    found = [line for line in lines if line.startswith("hailo_vision_generation_tokens_total")]
    return int(sum(float(line.rsplit(" ", 1)[1]) for line in found))


def test_names_health_models_and_metrics(service: Running) -> None:
    reply = service.client.post(CHAT, json=body(model="nobody"))
    check_error(reply.json())
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "model_not_found")
    value = service.client.get("/v1/models").json()
    check_models(value)
    assert "qwen2-vl-demo" in [row["id"] for row in value["data"]]
    health = service.health()
    assert (health["status"], health["model_loaded"]) == ("healthy", True)
    assert "llama.cpp (CPU)" in json.dumps(health)
    metrics = service.client.get("/metrics").text
    assert "hailo_vision_generation_tokens_total" in metrics


def test_what_cannot_be_answered_is_refused_by_field(service: Running) -> None:
    for asked, status, code in (
        (body("word " * 3000), 400, "context_length_exceeded"),
        (body("Hi", "data:image/png;base64,AAAA"), 400, "unsupported_image_format"),
        (body(temperature=9), 400, None),
    ):
        reply = service.client.post(CHAT, json=asked)
        check_error(reply.json())
        assert reply.status_code == status, reply.text
        assert code in (None, reply.json()["error"]["code"])


def test_an_engine_that_is_killed_comes_back(demo: Path, tmp_path: Path) -> None:
    with started(configured(demo, tmp_path / "c.json")) as running:
        first = running.pid()
        os.kill(first, signal.SIGKILL)
        running.until(lambda: running.health()["engine"]["restarts"] == 1)
        running.until_ready()
        assert running.pid() != first
        assert "red circle" in said(ask(running))


def test_a_model_that_nobody_asks_leaves_and_comes_back(demo: Path, tmp_path: Path) -> None:
    keys = {"model_dir": "", "models": [f"eye={demo}", f"other={demo}"], "model_keep_alive": ["eye=1s"]}
    with started(configured(demo, tmp_path / "c.json", **keys)) as running:
        for _ in range(2):
            assert "red circle" in said(ask(running, model="eye"))
            running.until(lambda: running.health()["models"][0]["state"] == "not loaded")


def test_a_file_that_cannot_be_is_told_by_name(demo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    model = read_raw(demo / "model.gguf")
    model.put("qwen2vl.attention.head_count", 4, 6)
    (folder / "model.gguf").write_bytes(model.packed())
    with started(configured(folder, tmp_path / "c.json"), ready=False) as running:
        assert running.popen.wait(60) == 78
        assert "model.gguf: 6 heads cannot share an embedding of 128" in running.log
        assert "Traceback" not in running.log


def test_the_stream_of_a_client_is_its_own(service: Running) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{service.port}", timeout=60) as other:
        asked = body(max_tokens=200, logit_bias=ENDS, temperature=1, seed=1, stream=True)
        with service.client.stream("POST", CHAT, json=asked) as reply:
            next(line for line in reply.iter_lines() if line.startswith("data: "))
            assert "red circle" in other.post(CHAT, json=body()).json()["choices"][0]["message"]["content"]


def test_a_file_that_crashes_the_library_at_every_load_ends_the_service(demo: Path, tmp_path: Path) -> None:
    """No file is known that gets past the checks and crashes: here those of projectors are taken away."""
    folder = tmp_path / "model"
    folder.mkdir()
    shutil.copy(demo / "model.gguf", folder)
    projector = read_raw(demo / "mmproj.gguf")
    projector.put("clip.vision.attention.layer_norm_epsilon", 6, -1.0)
    (folder / "mmproj.gguf").write_bytes(projector.packed())
    (tmp_path / "sitecustomize.py").write_text(
        "import hailo_vision.gguf.projectors as module\nmodule.check_projector = lambda *_: None\n"
    )
    places = os.pathsep.join((str(tmp_path), str(Path(__file__).parents[3])))
    with started(configured(folder, tmp_path / "c.json"), ready=False, PYTHONPATH=places) as running:
        assert running.popen.wait(120) == 78
        assert running.log.count("SIGABRT") >= 3
