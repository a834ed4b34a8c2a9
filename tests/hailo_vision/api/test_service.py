"""What stands around the conversations: models, health, metrics, methods, the API page."""

from __future__ import annotations

import json

import pytest

from tests.hailo_florence.api.running import FAKE_VISION, Running, started
from tests.hailo_vision.api.conftest import CHAT, body, image, order, post
from tests.hailo_vision.api.shapes import check_completion, check_error, check_model, check_models


def test_the_model_list_says_what_clients_ask(vision: Running) -> None:
    value = vision.client.get("/v1/models").json()
    check_models(value)
    for entry in value["data"]:
        assert entry["max_model_len"] == entry["meta"]["n_ctx"] == 2048
        assert entry["architecture"]["input_modalities"] == ["text", "image"]
        assert "vision" in entry["capabilities"]
        assert (entry["root"], entry["state"]) == ("fake-vl", "loaded")
    stable, own = value["data"]
    assert (stable["id"], stable["parent"], stable["aliases"]) == (
        "qwen2-vl-2b-instruct",
        "fake-vl",
        ["fake-vl"],
    )
    assert (own["id"], own["parent"], own["aliases"]) == ("fake-vl", None, ["qwen2-vl-2b-instruct"])


NAMES = {
    **{name: name.lower() for name in ("fake-vl", "qwen2-vl-2b-instruct", "FAKE-VL")},
    "Qwen/Qwen2-VL-2B-Instruct": "qwen2-vl-2b-instruct",
    "qwen2-vl-2b-instruct:latest": "qwen2-vl-2b-instruct",
    "qwen2-vl-2b-instruct-onnx": "qwen2-vl-2b-instruct",
    "qwen2-vl-2b-instruct-hailo10h-5.1.1": "qwen2-vl-2b-instruct",
}
"""What saved settings ask for, and the name the answer has; backends and versions change, settings do not."""


@pytest.mark.parametrize(("asked", "name"), NAMES.items())
def test_an_answer_names_what_was_asked_for(vision: Running, asked: str, name: str) -> None:
    assert post(vision, model=asked).json()["model"] == name
    assert json.loads(post(vision, model=asked, stream=True).text.split("\n")[0][6:])["model"] == name


def test_without_a_name_the_only_model_answers(vision: Running) -> None:
    for more in ({"model": None}, {"model": ""}):
        assert post(vision, **more).json()["model"] == "qwen2-vl-2b-instruct"


def test_a_wrong_name_gets_all_right_ones(vision: Running) -> None:
    reply = post(vision, model="gpt-4o-mini")
    check_error(reply.json())
    assert "qwen2-vl-2b-instruct, fake-vl" in reply.json()["error"]["message"]


@pytest.mark.parametrize(("asked", "name"), NAMES.items())
def test_the_model_by_each_of_its_names(vision: Running, asked: str, name: str) -> None:
    reply = vision.client.get(f"/v1/models/{asked}")
    assert reply.status_code == 200
    check_model(reply.json())
    assert (reply.json()["id"], reply.json()["root"]) == (name, "fake-vl")


@pytest.mark.parametrize("name", ["gpt-4o", "a/b", "x" * 300])
def test_another_model_is_404(vision: Running, name: str) -> None:
    reply = vision.client.get(f"/v1/models/{name}")
    check_error(reply.json())
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "model_not_found")


GETS = ("/", "/health", "/health/ready", "/readyz", "/metrics", "/v1/models", "/v1/models/fake-vl")


@pytest.mark.parametrize("path", GETS)
def test_head_and_options_are_answered(vision: Running, path: str) -> None:
    head = vision.client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    options = vision.client.options(path)
    # A chat is answered at the bare address, too.
    allowed = "GET, HEAD, OPTIONS, POST" if path == "/" else "GET, HEAD, OPTIONS"
    assert (options.status_code, options.headers["allow"]) == (204, allowed)


@pytest.mark.parametrize("path", [CHAT, "/v1/vision/analyze"])
def test_posts_answer_options_and_refuse_get(vision: Running, path: str) -> None:
    assert vision.client.options(path).headers["allow"] == "OPTIONS, POST"
    reply = vision.client.get(path)
    check_error(reply.json())
    assert (reply.status_code, reply.headers["allow"]) == (405, "POST")


def test_unknown_addresses_have_openais_error(vision: Running) -> None:
    for path in ("/v1/nothing", "/nothing"):
        reply = vision.client.get(path)
        check_error(reply.json())
        assert reply.status_code == 404


def test_health_says_what_an_operator_asks(vision: Running) -> None:
    value = vision.health()
    assert value["status"] == "healthy"
    assert value["memory_usage_mb"] > 10
    assert set(value["memory_mb"]) == {"http", "engine", "decoder"}
    assert value["limits"]["max_model_len"] == 2048
    assert vision.client.get("/readyz").json() == {"ready": True}
    assert vision.client.get("/").json()["service"] == "hailo-vision"


def test_metrics_follow_vllms_names(vision: Running) -> None:
    post(vision, image("one two"))
    reply = vision.client.get("/metrics")
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    for name in (
        "num_requests_running",
        "num_requests_waiting",
        "prompt_tokens_total",
        "generation_tokens_total",
        "image_tokens_total",
        "prefix_cache_queries_total",
        "prefix_cache_hits_total",
        'request_success_total{finished_reason="stop"}',
        'time_to_first_token_seconds_bucket{le="1.5"}',
        'request_time_per_output_token_seconds_bucket{le="0.125"}',
        'e2e_request_latency_seconds_bucket{le="60.0"}',
        "request_queue_time_seconds_sum",
        "request_inference_time_seconds_sum",
        "request_prefill_time_seconds_sum",
        "request_decode_time_seconds_sum",
        "request_prompt_tokens_sum",
        "request_generation_tokens_sum",
        "num_preemptions_total",
    ):
        assert f"hailo_vision_{name}" in reply.text, name
    assert f'http_requests_total{{handler="{CHAT}",method="POST",status="200"}}' in reply.text
    summary = vision.client.get("/metrics", headers={"Accept": "application/json"}).json()
    assert summary["requests_total"] >= summary["requests_succeeded"] >= 1


def test_the_log_has_the_promised_fields_and_no_prompt(vision: Running) -> None:
    headers = {"X-Request-ID": "logged"}
    vision.client.post(CHAT, json=body(image("top secret question")), headers=headers)
    line = next(line for line in vision.log.splitlines() if '"logged"' in line and "generated" in line)
    for field in (
        "inference_time_ms",
        "load_time_ms",
        "total_ms",
        "model",
        "tokens_generated",
        "image_size",
        "tokens_per_second",
    ):
        assert f'"{field}":' in line, field
    assert "top secret" not in vision.log


def test_debug_shows_parameters_sizes_and_times_and_nothing_that_was_said() -> None:
    with started(FAKE_VISION, "--settings", json.dumps({"log_level": "debug"})) as running:
        asked = body(image("top secret question"), temperature=0.25, max_tokens=7, stop=["hidden stop"])
        reply = running.client.post(CHAT, json=asked, headers={"X-Request-ID": "looked-at"})
        said = reply.json()["choices"][0]["message"]["content"]
        log = running.log
    lines = [json.loads(line) for line in log.splitlines() if "looked-at" in line]
    asked_line = next(line for line in lines if line["message"] == "request" and "max_tokens" in line)
    assert (asked_line["max_tokens"], asked_line["temperature"], asked_line["stops"]) == (7, 0.25, 1)
    assert asked_line["characters"] == len("top secret question")
    assert "x" in asked_line["image_sizes"]
    stages = next(line for line in lines if line["message"] == "stages")
    assert {"vision_ms", "prefill_ms", "decode_ms", "answer_length", "finish_reason"} <= stages.keys()
    for text in ("top secret", "hidden stop", said):
        assert text not in log


def test_while_loading_every_answer_says_so() -> None:
    with started(FAKE_VISION, "--options", '{"load_s": 3}', ready=False) as running:
        running.until(lambda: running.client.get("/health").status_code == 200)
        for reply in (post(running, order(count=1)), running.client.get("/v1/models")):
            check_error(reply.json())
            assert (reply.status_code, reply.json()["error"]["code"]) == (503, "model_not_ready")
            assert reply.headers["retry-after"] == "5"
        ready = running.client.get("/readyz")
        assert (ready.status_code, ready.json()["ready"]) == (503, False)
        running.until_ready()
        check_completion(post(running, order(count=1)).json())


def test_the_api_page_and_its_examples_work() -> None:
    with started(FAKE_VISION, "--settings", json.dumps({"docs": True})) as running:
        assert running.client.get("/docs").status_code == 200
        description = running.client.get("/openapi.json").json()
        for path in (CHAT, "/v1/vision/analyze", "/v1/completions", "/v1/responses"):
            content = description["paths"][path]["post"]["requestBody"]["content"]
            reply = running.client.post(path, json=content["application/json"]["example"])
            assert reply.status_code == 200, reply.text
