"""The API of hailo-florence (docs/florence-api.md), over HTTP, on the demo model."""

from __future__ import annotations

from typing import Any

import pytest

from tests.hailo_common.images.heif.make import SAMPLES, needs_codec
from tests.hailo_florence.api.conftest import data_uri, red_circle
from tests.hailo_florence.api.running import Running, started

IMAGE = red_circle()
URI = data_uri(IMAGE)


def test_a_data_uri_gives_a_true_caption(florence: Running) -> None:
    reply = florence.client.post("/v1/caption", json={"image": URI})
    assert reply.status_code == 200
    body = reply.json()
    assert body["caption"] == "a red circle"
    assert set(body) - {"cached"} == {"caption", "inference_time_ms", "model", "token_count"}
    assert body["token_count"] == 3
    assert body["inference_time_ms"] > 0


@pytest.mark.parametrize("field", ["image", "file"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_form_with_a_file_gives_the_same(florence: Running, field: str, kind: str) -> None:
    reply = florence.client.post("/v1/caption", files={field: ("a", red_circle(kind=kind))})
    assert reply.json()["caption"] == "a red circle"


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What color is the circle?", "red"),
        ("what SHAPE is red?", "circle"),
        ("How many objects are there?", "1"),
        ("Is there a star?", "no"),
        ("Is there a circle?", "yes"),
    ],
)
def test_the_question_conditions_the_answer(florence: Running, question: str, answer: str) -> None:
    as_json = florence.client.post("/v1/vqa", json={"image": URI, "question": question}).json()
    as_form = florence.client.post("/v1/vqa", files={"image": IMAGE}, data={"question": question}).json()
    assert as_json["answer"] == as_form["answer"] == answer


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"max_length": 0}, "max_length"),
        ({"max_length": 201}, "max_length"),
        ({"max_length": -1}, "max_length"),
        ({"max_length": 10**9}, "max_length"),
        ({"max_length": "50"}, "max_length"),
        ({"max_length": 50.5}, "max_length"),
        ({"max_length": True}, "max_length"),
        ({"min_length": -1}, "min_length"),
        ({"min_length": 101}, "min_length"),
        ({"max_length": 5, "min_length": 6}, "min_length"),
        ({"temperature": -0.01}, "temperature"),
        ({"temperature": 1.01}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({"image": None}, "image"),
        ({"image": 5}, "image"),
    ],
)
def test_out_of_range_is_422_naming_the_field(florence: Running, change: dict[str, Any], param: str) -> None:
    reply = florence.client.post("/v1/caption", json={"image": URI, **change})
    body = reply.json()
    assert (reply.status_code, body["status"]) == (422, 422)
    assert (body["error"], body["param"]) == ("invalid_parameters", param)
    assert param in body["message"]


@pytest.mark.parametrize("value", [{"max_length": 1}, {"max_length": 200}, {"min_length": 0}])
@pytest.mark.parametrize("more", [{"temperature": 0}, {"temperature": 1, "seed": 2**63 - 1}, {"other": [1]}])
def test_the_edges_of_the_ranges_are_accepted(
    florence: Running, value: dict[str, Any], more: dict[str, Any]
) -> None:
    reply = florence.client.post("/v1/caption", json={"image": URI, **value, **more})
    assert reply.status_code == 200, reply.text
    assert reply.json()["token_count"] <= value.get("max_length", 100)


def test_form_fields_are_read_as_numbers(florence: Running) -> None:
    good = florence.client.post("/v1/caption", files={"image": IMAGE}, data={"max_length": "2"})
    bad = florence.client.post("/v1/caption", files={"image": IMAGE}, data={"max_length": "two"})
    assert good.json()["token_count"] == 2
    assert (bad.status_code, bad.json()["param"]) == (422, "max_length")


@pytest.mark.parametrize("question", [None, "", "   ", 5, "x" * 4001])
def test_a_question_must_be_a_short_text(florence: Running, question: Any) -> None:
    reply = florence.client.post("/v1/vqa", json={"image": URI, "question": question})
    assert (reply.status_code, reply.json()["param"]) == (422, "question")


def test_a_question_longer_than_the_model_is_422_with_the_numbers(florence: Running) -> None:
    reply = florence.client.post("/v1/vqa", json={"image": URI, "question": "circle " * 500})
    body = reply.json()
    assert (reply.status_code, body["error"], body["param"]) == (422, "context_length_exceeded", "question")
    assert any(character.isdigit() for character in body["message"])


def test_min_length_is_honoured(florence: Running) -> None:
    reply = florence.client.post("/v1/caption", json={"image": URI, "min_length": 9, "max_length": 12})
    assert 9 <= reply.json()["token_count"] <= 12


def test_sampling_is_repeatable_by_seed(florence: Running) -> None:
    def sample(seed: int) -> str:
        request = {"image": URI, "temperature": 1.0, "seed": seed, "min_length": 12}
        return str(florence.client.post("/v1/caption", json=request).json()["caption"])

    assert sample(7) == sample(7)
    assert len({sample(seed) for seed in range(6)}) > 1


@pytest.mark.parametrize(
    ("image", "status", "code"),
    [
        ("data:image/jpeg;base64,AAAAA", 400, "invalid_base64"),
        ("data:image/jpeg,AAAA", 400, "unsupported_image_format"),
        (URI + "," + URI, 400, "invalid_base64"),
        ("http://127.0.0.1/a.jpg", 400, "unsupported_image_url"),
        ("file:///etc/passwd", 400, "unsupported_image_url"),
        (data_uri(b"GIF89a" + bytes(100), "gif"), 400, "invalid_image"),
        (data_uri(b"%PDF-1.4 " + bytes(100)), 400, "unsupported_image_format"),
        (data_uri(IMAGE[:-1000]), 400, "image_truncated"),
        (data_uri(bytes(10_600_000)), 413, "image_too_large"),
    ],
)
def test_bad_images_have_their_status_and_code(florence: Running, image: str, status: int, code: str) -> None:
    reply = florence.client.post("/v1/caption", json={"image": image})
    assert (reply.status_code, reply.json()["error"]) == (status, code)
    assert set(reply.json()) <= {"error", "message", "status", "param"}


def test_a_form_over_10_mb_is_413(florence: Running) -> None:
    reply = florence.client.post("/v1/caption", files={"image": bytes(10_600_000)})
    assert (reply.status_code, reply.json()["status"]) == (413, 413)


def test_health_says_what_an_operator_asks(florence: Running) -> None:
    body = florence.health()
    assert body["status"] == "healthy"
    assert body["model_loaded"] is True
    assert body["uptime_seconds"] > 0
    assert body["hailo_device"] in ("connected", "disconnected")
    assert "coloured shapes only" in body["description"]
    assert [stage["name"] for stage in body["stages"]] == ["vision_encoder", "text_encoder", "decoder"]
    assert all(stage["backend"] and stage["reason"] for stage in body["stages"])
    assert florence.client.get("/health/ready").json() == {"ready": True}
    assert florence.client.head("/health").status_code == 200


def test_metrics_in_both_forms(florence: Running) -> None:
    florence.client.post("/v1/caption", json={"image": URI})
    text = florence.client.get("/metrics")
    assert text.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'http_requests_total{handler="/v1/caption",method="POST",status="200"}' in text.text
    assert "hailo_florence_request_inference_time_seconds_bucket" in text.text
    summary = florence.client.get("/metrics", headers={"Accept": "application/json"}).json()
    assert summary["requests_total"] == summary["requests_succeeded"] + summary["requests_failed"]
    assert 0 < summary["p50_inference_time_ms"] <= summary["p99_inference_time_ms"]
    assert summary["memory_usage_mb"] > 50


def test_each_request_is_counted_once(florence: Running) -> None:
    def counts() -> list[int]:
        summary = florence.client.get("/metrics", headers={"Accept": "application/json"}).json()
        return [summary[f"requests_{name}"] for name in ("total", "succeeded", "failed")]

    before = counts()
    for image in (URI, URI, "no image"):
        florence.client.post("/v1/caption", json={"image": image})
    assert [after - was for after, was in zip(counts(), before, strict=True)] == [3, 2, 1]


def test_a_request_id_is_kept_if_sane_and_logged(florence: Running) -> None:
    reply = florence.client.post("/v1/caption", json={"image": URI}, headers={"X-Request-ID": "trace.17"})
    assert reply.headers["x-request-id"] == "trace.17"
    assert '"request_id": "trace.17"' in florence.log
    insane = florence.client.get("/health", headers={"X-Request-ID": 'a"b c'})
    assert insane.headers["x-request-id"] != 'a"b c'


def test_the_log_has_the_promised_fields(florence: Running) -> None:
    florence.client.post("/v1/caption", json={"image": URI}, headers={"X-Request-ID": "fields"})
    line = next(line for line in florence.log.splitlines() if '"fields"' in line and "generated" in line)
    for field in (
        "inference_time_ms",
        "total_ms",
        "image_size",
        "image_size_bytes",
        "caption_length",
        "model",
    ):
        assert f'"{field}":' in line


def test_the_api_page_is_off_unless_asked_for(florence: Running) -> None:
    assert florence.client.get("/docs").status_code == 404
    assert florence.client.get("/openapi.json").status_code == 404


def test_the_api_page_and_its_examples_work() -> None:
    with started(("hailo_florence", "--demo", "shapes"), "--docs") as running:
        assert running.client.get("/docs").status_code == 200
        description = running.client.get("/openapi.json").json()
        for path in ("/v1/caption", "/v1/vqa"):
            content = description["paths"][path]["post"]["requestBody"]["content"]
            reply = running.client.post(path, json=content["application/json"]["example"])
            assert reply.status_code == 200, reply.text
            assert reply.json().get("caption", "a red circle") == "a red circle"


def test_an_image_may_be_the_body_itself(florence: Running) -> None:
    for kind in ("image/jpeg", "application/octet-stream", "image/heic"):
        reply = florence.client.post("/v1/caption", content=IMAGE, headers={"Content-Type": kind})
        assert reply.status_code == 200, reply.text
    path = "/v1/vqa?question=What+is+it%3F&max_length=20"
    reply = florence.client.post(path, content=IMAGE, headers={"Content-Type": "image/jpeg"})
    assert reply.json()["answer"]
    reply = florence.client.post("/v1/vqa", content=IMAGE, headers={"Content-Type": "image/jpeg"})
    assert (reply.status_code, reply.json()["param"]) == (422, "question")
    reply = florence.client.post("/v1/caption", content=b"%PDF-1.4", headers={"Content-Type": "image/jpeg"})
    assert (reply.status_code, reply.json()["error"], reply.json()["param"]) == (
        *(400, "unsupported_image_format", "image"),
    )


@needs_codec
@pytest.mark.parametrize("kind", ["image/heic", "application/x-www-form-urlencoded", ""])
def test_a_phones_photograph_is_seen_as_it_is(florence: Running, kind: str) -> None:
    for reply in (
        florence.client.post("/v1/caption", content=SAMPLES["circle"], headers={"Content-Type": kind}),
        florence.client.post("/v1/caption", files={"image": ("IMG_0001.HEIC", SAMPLES["circle"], kind)}),
    ):
        assert reply.json()["caption"] == "a red circle", reply.text


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "", "text/plain", "*/*"])
def test_a_body_whose_type_is_not_said_is_what_its_bytes_are(florence: Running, kind: str) -> None:
    """As `curl --data-binary @x.jpg` sends a file."""
    for data in (IMAGE, red_circle(kind="PNG"), red_circle(kind="WEBP"), red_circle(kind="BMP")):
        reply = florence.client.post("/v1/caption", content=data, headers={"Content-Type": kind})
        assert reply.json()["caption"] == "a red circle", reply.text
    page = {"Content-Type": kind, "Origin": str(florence.client.base_url)}
    assert florence.client.post("/v1/caption", content=IMAGE, headers=page).status_code == 415
    reply = florence.client.post("/v1/caption", content=b"nonsense", headers={"Content-Type": kind})
    assert (reply.status_code, reply.json()["error"]) == (400, "invalid_json")


@pytest.mark.parametrize("path", ["/caption", "/v1/v1/caption", "/api/v1/caption", "//v1/caption/"])
def test_a_task_is_found_at_every_address_that_means_it(florence: Running, path: str) -> None:
    assert florence.client.post(path, files={"image": ("x.jpg", IMAGE)}).status_code == 200


def test_openais_clients_are_told_where_the_chat_is(florence: Running) -> None:
    value = florence.client.get("/v1/models").json()
    name = florence.health()["model"]
    assert value["data"][0]["id"] == name
    assert "11435" in value["hint"]
    assert florence.client.get("/models").json() == value
    assert florence.client.get(f"/v1/models/{name}").json() == {**value["data"][0], "hint": value["hint"]}
    assert name in florence.client.get("/v1/models/gpt-9").json()["message"]
    assert florence.client.get("/v1/models/gpt-9").status_code == 404
    assert florence.client.get("/v1").json()["service"] == "hailo-florence"
    for path in ("/v1/chat/completions", "/chat/completions", "/v1/responses", "/v1/messages"):
        reply = florence.client.post(path, json={})
        assert (reply.status_code, reply.json()["error"]["code"]) == (404, "no_chat_here")
        assert "11435" in reply.json()["error"]["message"]
    for path in ("/api/chat", "/api/generate", "/api/show"):
        reply = florence.client.post(path, json={})
        assert (reply.status_code, set(reply.json())) == (404, {"error"})
        assert "11435" in reply.json()["error"]
    assert florence.client.post("/v1/captoin", json={}).status_code == 404
    assert "/v1/caption" in florence.client.post("/v1/captoin", json={}).json()["message"]
