"""Several models in one service: real engines on copies of the demo model, over HTTP."""

from __future__ import annotations

import concurrent.futures
import json
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.hailo_florence.api.running import Running, started
from tests.hailo_vision.api.conftest import CHAT, URI, events
from tests.hailo_vision.api.shapes import check_completion, check_error, check_models

DEMO = Path(__file__).parents[3] / "hailo_vision/demo_model"
ONE_AT_A_TIME = 150
"""MiB: an engine on the demo model takes about 100."""
Serve = Callable[..., AbstractContextManager[Running]]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Runs the service on these models; more keys as keywords, `backend: cpu` and no caches unless told."""

    @contextmanager
    def serving(*models: str, ready: bool = True, **keys: Any) -> Iterator[Running]:
        usual = {"backend": "cpu", "conversation_cache_mb": 0, "picture_cache_mb": 0, "threads": 1}
        file = tmp_path / "hailo-vision.json"
        file.write_text(json.dumps({**usual, "models": list(models), **keys}))
        with started(("hailo_vision", "--config", str(file)), ready=ready) as running:
            yield running

    return serving


def body(model: str | None, **more: Any) -> dict[str, Any]:
    """A question about a red circle."""
    parts = [
        {"type": "image_url", "image_url": {"url": URI}},
        {"type": "text", "text": "Describe the image."},
    ]
    asked = {"messages": [{"role": "user", "content": parts}], "max_tokens": 24, **more}
    return asked if model is None else {"model": model, **asked}


def ask(running: Running, model: str, **more: Any) -> httpx.Response:
    """The answer to that question."""
    return running.client.post(CHAT, json=body(model, **more))


def states(running: Running) -> dict[str, str]:
    """The state of each model, by the operator's name."""
    return {row["name"]: row["state"] for row in running.health()["models"]}


def broken_copy(folder: Path) -> Path:
    """The demo model with a decoder that is no model."""
    shutil.copytree(DEMO, folder)
    (folder / "onnx/decoder_model_merged.onnx").write_bytes(b"nothing of the kind")
    return folder


def test_two_models_answer_in_turns_and_each_by_its_names(serve: Serve) -> None:
    with serve(f"day={DEMO}", f"night={DEMO}") as running:
        answers = []
        for model in ("day", "night", "qwen2-vl-2b-instruct", "NIGHT", "qwen2-vl-demo"):
            reply = ask(running, model)
            assert reply.status_code == 200, reply.text
            check_completion(reply.json())
            answers.append((reply.json()["model"], reply.json()["choices"][0]["message"]["content"]))
        assert [model for model, _ in answers] == [
            *("day", "night", "qwen2-vl-2b-instruct", "night", "qwen2-vl-demo")
        ]
        assert len({text for _, text in answers}) == 1
        assert "red circle" in answers[0][1]
        assert states(running) == {"day": "loaded", "night": "loaded"}
        # What fails before the first ping has its own status, in a stream, too.
        long = [{"role": "user", "content": "x " * 5000}]
        reply = running.client.post(CHAT, json={**body("night", stream=True), "messages": long})
        assert (reply.status_code, reply.json()["error"]["code"]) == (400, "context_length_exceeded")
        health = running.health()
        assert (health["status"], health["model_loaded"]) == ("healthy", True)
        assert set(health["memory_mb"]) == {"http", "engine:day", "engine:night", "decoder"}
        assert health["models_memory"]["set_by"].startswith("memory_max_mb, less")
        assert 100 < health["models_memory"]["used_mb"] < 300
        assert health["models_memory"]["budget_mb"] == pytest.approx((4096 - 128) * 2**20 / 1e6, abs=0.1)
        text = running.client.get("/metrics").text
        for line in (
            'hailo_vision_model_state{model="day",state="loaded"} 1.0',
            'hailo_vision_model_loads_total{model="night"} 1.0',
            'hailo_vision_model_unloads_total{model="night"} 0.0',
        ):
            assert line in text


def test_the_list_names_all_with_their_state(serve: Serve) -> None:
    with serve(f"day={DEMO}", f"night={DEMO}") as running:
        value = running.client.get("/v1/models").json()
        check_models(value)
        rows = [(row["id"], row["root"], row["parent"], row["state"]) for row in value["data"]]
        assert rows == [
            ("qwen2-vl-2b-instruct", "day", "day", "loaded"),
            ("day", "day", None, "loaded"),
            ("qwen2-vl-demo", "day", "day", "loaded"),
            ("night", "night", None, "not loaded"),
        ]
        assert running.client.get("/v1/models/Night").json()["id"] == "night"
        reply = ask(running, "dusk")
        check_error(reply.json())
        assert (reply.status_code, reply.json()["error"]["code"]) == (404, "model_not_found")
        assert "qwen2-vl-2b-instruct, day, qwen2-vl-demo, night" in reply.json()["error"]["message"]
        assert running.client.post(CHAT, json=body(None)).json()["model"] == "qwen2-vl-2b-instruct"
        batch = {"images": [URI], "prompt": "Describe the image.", "model": "night"}
        reply = running.client.post("/v1/vision/analyze", json=batch)
        assert (reply.status_code, reply.json()["model"]) == (200, "night")


def test_the_longest_unused_goes_where_memory_is_short(serve: Serve) -> None:
    with serve(f"day={DEMO}", f"night={DEMO}", models_memory_mb=ONE_AT_A_TIME) as running:
        for model, other in (("day", "night"), ("night", "day"), ("day", "night")):
            assert ask(running, model).status_code == 200
            assert states(running) == {model: "loaded", other: "not loaded"}
        rows = {row["name"]: row for row in running.health()["models"]}
        assert [(rows[name]["loads"], rows[name]["unloads"]) for name in ("day", "night")] == [(2, 1), (1, 1)]
        assert "it made room for day" in rows["night"]["reason"]
        # Both at once, again and again: every one of them is answered.
        with concurrent.futures.ThreadPoolExecutor(6) as threads:
            asked = [threads.submit(ask, running, ("day", "night")[number % 2]) for number in range(8)]
            assert {each.result().status_code for each in asked} == {200}
        assert running.health()["engine"]["restarts"] == 0


def test_a_budget_that_no_model_fits_is_told_with_numbers(serve: Serve, tmp_path: Path) -> None:
    with serve(f"day={DEMO}", models_memory_mb=50) as running:
        # One model alone shares with nobody.
        assert ask(running, "day").status_code == 200
    large = tmp_path / "large"
    shutil.copytree(DEMO, large)
    with (large / "onnx/decoder_model_merged.onnx_data").open("wb") as file:
        file.truncate(3_000_000_000)
    with serve(f"day={DEMO}", f"large={large}", models_memory_mb=1000) as running:
        reply = ask(running, "large")
        check_error(reply.json())
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "model_too_large")
        assert "about 3,1" in reply.json()["error"]["message"]
        assert "1,049 MB together (models_memory_mb)" in reply.json()["error"]["message"]
        row = running.client.get("/v1/models/large").json()
        assert (row["state"], "1,049 MB" in row["reason"]) == ("failed", True)
        assert ask(running, "day").status_code == 200


def test_keep_alive_of_each_model(serve: Serve) -> None:
    keep = ["day=0", "night=1s", "dusk=-1"]
    with serve(f"day={DEMO}", f"night={DEMO}", f"dusk={DEMO}", model_keep_alive=keep) as running:
        assert states(running) == dict.fromkeys(("day", "night", "dusk"), "not loaded")
        assert running.client.get("/readyz").json()["ready"]
        for model in ("day", "night", "dusk"):
            assert ask(running, model).status_code == 200
        assert states(running)["dusk"] == "loaded"
        running.until(lambda: list(states(running).values()) == ["not loaded", "not loaded", "loaded"])
        running.until(lambda: set(running.health()["memory_mb"]) == {"http", "engine:dusk", "decoder"})
        rows = {row["name"]: row for row in running.health()["models"]}
        assert [rows[name]["keep_alive_s"] for name in ("day", "night", "dusk")] == [0, 1, -1]
        assert "idle for 1 s" in rows["night"]["reason"]
        assert running.health()["status"] == "healthy"
        # Unloaded between two requests, never under one.
        for _ in range(2):
            assert ask(running, "day", stream=True).text.endswith("data: [DONE]\n\n")


def test_a_model_that_cannot_load_stops_no_other(serve: Serve, tmp_path: Path) -> None:
    broken, missing = broken_copy(tmp_path / "broken"), tmp_path / "missing"
    with serve(f"day={DEMO}", f"broken={broken}", f"missing={missing}") as running:
        for model, why in (("broken", "decoder_model_merged"), ("missing", "there is no model in")):
            reply = ask(running, model)
            check_error(reply.json())
            assert (reply.status_code, reply.json()["error"]["code"]) == (503, "model_not_ready")
            assert why in reply.json()["error"]["message"]
            entry = running.client.get(f"/v1/models/{model}").json()
            assert (entry["state"], why in entry["reason"]) == ("failed", True)
        assert ask(running, "day").status_code == 200
        health = running.health()
        assert health["status"] == "degraded"
        assert "broken: " in health["error"]
        assert "missing: " in health["error"]
        assert running.client.get("/readyz").status_code == 200
        shutil.copytree(DEMO, missing)
        running.until(lambda: ask(running, "missing").status_code == 200)


def test_a_default_that_cannot_load_stops_no_other(serve: Serve, tmp_path: Path) -> None:
    with serve(f"broken={broken_copy(tmp_path / 'broken')}", f"day={DEMO}") as running:
        assert ask(running, "broken").status_code == 503
        assert ask(running, "day").status_code == 200
        assert running.stop() == 0


def test_a_stream_whose_model_is_loading_is_kept_alive(serve: Serve, tmp_path: Path) -> None:
    broken = broken_copy(tmp_path / "broken")
    with serve(f"day={DEMO}", f"night={DEMO}", f"broken={broken}", ping_interval_s=0.1) as running:
        reply = ask(running, "night", stream=True)
        assert reply.status_code == 200
        before, _, after = reply.text.partition("data: ")
        assert before.count(": ping\n\n") >= 2
        assert ": ping" not in after
        assert events(reply.text)[-1] == "[DONE]"
        said = "".join(
            each["choices"][0]["delta"].get("content", "")
            for each in events(reply.text)[:-1]
            if each["choices"]
        )
        assert "red circle" in said
        # What fails after the first ping is the last event.
        reply = ask(running, "broken", stream=True)
        assert reply.text.startswith(": ping\n\n")
        assert events(reply.text)[-1]["error"]["code"] == "model_not_ready"


def test_clients_that_hang_up_while_their_model_loads_leave_nothing_behind(serve: Serve) -> None:
    with serve(f"day={DEMO}", f"night={DEMO}", ping_interval_s=0.1) as running:
        for stream in (True, False, True):
            data = json.dumps(body("night", stream=stream)).encode()
            head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            with socket.create_connection(("127.0.0.1", running.port)) as client:
                client.sendall(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
                if stream:
                    # A ping while it loads, or the answer where an earlier request has had it loaded.
                    _until(client, b": ping", b"data: ")
                else:
                    running.until(lambda: running.health()["queue"]["waiting"] == 1)
        running.until(lambda: running.health()["queue"] == {"running": 0, "waiting": 0, "size": 16})
        assert ask(running, "night").status_code == 200
        assert ask(running, "day").status_code == 200
        assert "Traceback" not in running.log


def _until(client: socket.socket, *wanted: bytes) -> bytes:
    client.settimeout(30)
    received = b""
    while not any(each in received for each in wanted):
        part = client.recv(4096)
        assert part, received
        received += part
    return received


def test_the_first_model_is_loaded_at_the_start_and_its_requests_wait(serve: Serve) -> None:
    with serve(f"day={DEMO}", f"night={DEMO}", ready=False) as running:
        running.until(lambda: running.client.get("/health").status_code == 200)
        assert ask(running, "day").status_code == 200
        assert states(running) == {"day": "loaded", "night": "not loaded"}


def test_a_service_that_stops_ends_all_engines(serve: Serve) -> None:
    with serve(f"day={DEMO}", f"night={DEMO}") as running:
        for model in ("day", "night"):
            assert ask(running, model).status_code == 200
        began = time.monotonic()
        assert running.stop() == 0
        assert time.monotonic() - began < 20


def test_the_wait_for_a_load_is_told(serve: Serve) -> None:
    """In the answer, in Ollama's words and in the log; what waits for nothing tells 0."""
    with serve(f"day={DEMO}", f"night={DEMO}", model_keep_alive=["day=0"]) as running:
        first, second = (ask(running, "night").json()["performance"] for _ in range(2))
        assert first["total_ms"] >= first["load_time_ms"] > 100
        assert second["load_time_ms"] == 0
        # Unloaded, and known from before: it is waited for at another place.
        ask(running, "day")
        running.until(lambda: states(running)["day"] == "not loaded")
        assert ask(running, "day").json()["performance"]["load_time_ms"] > 100
        running.until(lambda: states(running)["day"] == "not loaded")
        asked = {"model": "day", "prompt": "Hi", "stream": False}
        assert running.client.post("/api/generate", json=asked).json()["load_duration"] > 100e6
        logged = [json.loads(line) for line in running.log.splitlines() if "tokens_generated" in line]
        assert [line["load_time_ms"] > 100 for line in logged] == [True, False, True, True, True]
