"""What a request may ask of the chip: limits, options, other routes, waiting."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from hailo_vision.onnx.engine import OnnxVisionEngine
from tests.hailo_vision.npu.serving import DESCRIBE, Npu, content, error_of, scene, serving, truth, user
from tests.hailo_vision.talk import ask, say
from tests.npu import VERSIONS, Machine


def test_the_service_says_what_it_runs_on(npu: Npu) -> None:
    health = npu.service.health()
    assert health["status"] == "healthy"
    assert [stage["name"] for stage in health["stages"]] == ["vision_encoder", "decoder"]
    assert all(stage["backend"] == "HailoRT (NPU)" for stage in health["stages"])
    most = 5 if npu.machine.environ["HAILO_SIM_VERSION"] == "5.1.1" else 16
    assert health["limits"] == {"max_model_len": 2048, "image_tokens_max": 64, "max_images": most}
    entries = npu.service.client.get("/v1/models").json()["data"]
    assert {(entry["root"], entry["max_model_len"]) for entry in entries} == {("qwen2-vl-demo", 2048)}
    npu.service.until(lambda: "chip_temperature_c" in npu.service.health())


@pytest.mark.parametrize("count", [5, 6, 16])
def test_several_images(npu: Npu, cpu: OnnxVisionEngine, count: int) -> None:
    reply = npu.post([user(*(scene(number) for number in range(count)), DESCRIBE)], max_tokens=4)
    if count > npu.service.health()["limits"]["max_images"]:
        error = error_of(reply)
        assert (reply.status_code, error["code"], error["param"]) == (400, "too_many_images", "messages")
        assert "may hold 5 images, not" in error["message"]
    else:
        assert content(reply)
        assert reply.json()["usage"]["prompt_tokens_details"]["image_tokens"] == 64 * count
    assert content(npu.describe(22)) == truth(cpu, 22)


@pytest.mark.parametrize(
    ("more", "status", "code", "param"),
    [
        ({"logit_bias": {"3": 1}}, 501, "not_supported", "logit_bias"),
        ({"response_format": {"type": "json_object"}}, 502, "invalid_structured_output", None),
        ({"temperature": 3}, 400, None, "temperature"),
        ({"n": 2}, 400, None, "n"),
    ],
    ids=str,
)
def test_what_is_refused(
    npu: Npu, more: dict[str, Any], status: int, code: str | None, param: str | None
) -> None:
    reply = npu.post([user("Hi")], **more)
    error = error_of(reply)
    assert (reply.status_code, error["param"]) == (status, param), reply.text
    assert code in (None, error["code"])


def test_a_conversation_that_is_too_long(npu: Npu, cpu: OnnxVisionEngine) -> None:
    reply = npu.post([user("word " * 3000)])
    error = error_of(reply)
    assert (reply.status_code, error["code"]) == (400, "context_length_exceeded")
    assert "holds 2048 tokens" in error["message"]
    reply = npu.post([user("x" * 200_000)])
    assert error_of(reply)["code"] == "context_length_exceeded"
    assert content(npu.describe(22)) == truth(cpu, 22)


def test_the_planner_keeps_to_the_chips_context(model: Path, tmp_path: Path) -> None:
    settings = {"context_policy": "drop_oldest", "max_model_len": 300}
    with Machine(tmp_path) as machine, serving(machine, model, **settings) as npu:  # type: ignore[arg-type]
        talk: list[Any] = []
        for number in range(6):
            talk += [user(scene(number), DESCRIBE), {"role": "assistant", "content": "A red dot."}]
        reply = npu.post([*talk, user(scene(22), DESCRIBE)], max_tokens=40)
        assert content(reply)
        assert int(reply.headers["x-context-dropped-messages"]) >= 6
        assert reply.json()["usage"]["prompt_tokens"] <= 300 - 40


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_a_seed_is_honoured(npu: Npu, temperature: float) -> None:
    options = {"temperature": temperature, "top_p": 0.9, "max_tokens": 12}
    said = [content(npu.describe(23, seed=seed, **options)) for seed in (1, 1, 2, 2, 3, 4)]
    assert (said[0], said[2]) == (said[1], said[3])
    if temperature == 2.0:
        assert len(set(said)) > 1


def test_a_repetition_penalty_changes_the_answer(npu: Npu) -> None:
    plain = content(npu.describe(20))
    assert content(npu.describe(20, repetition_penalty=1.0)) == plain
    assert content(npu.describe(20, repetition_penalty=4.0)) != plain
    assert content(npu.describe(20, frequency_penalty=0, presence_penalty=0)) == plain
    assert content(npu.describe(20, frequency_penalty=2, presence_penalty=2))


def test_several_images_one_by_one(npu: Npu, cpu: OnnxVisionEngine) -> None:
    urls = [user(scene(number))["content"][0]["image_url"]["url"] for number in (30, 31, 32)]
    value = npu.service.client.post("/v1/vision/analyze", json={"images": urls, "prompt": DESCRIBE}).json()
    said = [entry["analysis"] for entry in value["results"]]
    assert said == [truth(cpu, number) for number in (30, 31, 32)]


def test_many_clients_at_once_get_their_own(npu: Npu, cpu: OnnxVisionEngine) -> None:
    """Texts give way to pictures and are answered all the same."""
    said: dict[int, str] = {}

    def ask_one(number: int) -> None:
        reply = npu.describe(number) if number % 2 else npu.post([user("Hi")])
        said[number] = content(reply)

    clients = [threading.Thread(target=ask_one, args=(number,)) for number in range(40, 48)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(120)
    hello = ask(cpu, {"messages": [say("user", "Hi")], "max_tokens": 64, "temperature": 0})["text"]
    assert said == {number: truth(cpu, number) if number % 2 else hello for number in range(40, 48)}


@pytest.mark.parametrize("version", VERSIONS)
def test_no_cache_keeps_no_conversation(model: Path, tmp_path: Path, version: str) -> None:
    with (
        Machine(tmp_path, version=version) as machine,
        serving(machine, model, conversation_cache_mb=0) as npu,
    ):
        said = content(npu.describe(20))
        messages = [user(scene(20), DESCRIBE), {"role": "assistant", "content": said}, user("Sure?")]
        usage = npu.post(messages).json()["usage"]
        assert usage["prompt_tokens_details"]["cached_tokens"] == 0
