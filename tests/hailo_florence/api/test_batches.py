"""`images`: several pictures in one request, each answered by itself."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.hailo_florence.api.conftest import data_uri, red_circle
from tests.hailo_florence.api.running import FAKE, Running, started

IMAGE = red_circle()
URI = data_uri(IMAGE)
BAD = data_uri(b"%PDF-1.4 " + bytes(100))


def test_each_picture_has_its_own_answer(florence: Running) -> None:
    wide = data_uri(red_circle((640, 200), "PNG"), "png")
    reply = florence.client.post("/v1/caption", json={"images": [URI, {"url": wide}]})
    assert reply.status_code == 200, reply.text
    body = reply.json()
    single = florence.client.post("/v1/caption", json={"image": wide}).json()
    assert [entry["index"] for entry in body["results"]] == [0, 1]
    assert [entry["image_url"] for entry in body["results"]] == [
        "data:image/jpeg;base64,...",
        "data:image/png;base64,...",
    ]
    assert body["results"][0]["caption"] == "a red circle"
    assert body["results"][1]["caption"] == single["caption"]
    assert "model" not in body["results"][0]
    assert body["model"] == single["model"]
    assert (body["images_answered"], body["images_failed"]) == (2, 0)
    assert body["token_count"] == sum(entry["token_count"] for entry in body["results"])
    times = [entry["inference_time_ms"] for entry in body["results"]]
    assert body["total_inference_time_ms"] == sum(times) <= body["total_ms"] + len(times)


def test_questions_come_with_batches_too(florence: Running) -> None:
    body = florence.client.post(
        "/v1/vqa", json={"images": [URI], "question": "What color is the circle?"}
    ).json()
    assert [entry["answer"] for entry in body["results"]] == ["red"]


def test_a_bad_picture_spoils_only_its_own_entry(florence: Running) -> None:
    images = [BAD, URI, 5, data_uri(IMAGE[:-1000])]
    reply = florence.client.post("/v1/caption", json={"images": images})
    assert reply.status_code == 200
    body = reply.json()
    first, second, third, fourth = body["results"]
    assert (first["error"], first["status"], first["param"]) == (
        *("unsupported_image_format", 400),
        "images[0]",
    )
    assert second["caption"] == "a red circle"
    assert (third["error"], third["status"], third["param"]) == ("invalid_parameters", 422, "images[2]")
    assert (fourth["error"], fourth["param"]) == ("image_truncated", "images[3]")
    assert (body["images_answered"], body["images_failed"]) == (1, 3)


def test_where_no_picture_is_good_the_request_fails(florence: Running) -> None:
    reply = florence.client.post("/v1/caption", json={"images": [BAD, BAD]})
    assert (reply.status_code, reply.json()["error"]) == (400, "unsupported_image_format")
    assert reply.json()["param"] == "images[0]"


@pytest.mark.parametrize("count", [0, 17])
def test_how_many_there_may_be(florence: Running, count: int) -> None:
    reply = florence.client.post("/v1/caption", json={"images": [URI] * count})
    assert (reply.status_code, reply.json()["param"]) == (422, "images")
    assert "1 to 16 images (max_images)" in reply.json()["message"]


def test_fields_are_checked_for_all_of_them(florence: Running) -> None:
    reply = florence.client.post("/v1/caption", json={"images": [URI, URI], "max_length": 0})
    assert (reply.status_code, reply.json()["param"]) == (422, "max_length")
    reply = florence.client.post("/v1/detect", json={"images": [URI, URI]})
    assert reply.status_code == 501


def test_a_form_with_several_files_is_a_batch(florence: Running) -> None:
    for names in (("image", "image"), ("images[]", "images[]"), ("images",)):
        files = [(name, ("a.jpg", IMAGE)) for name in names]
        body = florence.client.post("/v1/caption", files=files, data={"max_length": "50"}).json()
        assert [entry["caption"] for entry in body["results"]] == ["a red circle"] * len(names)
    reply = florence.client.post("/v1/caption", files=[("image", ("a.jpg", IMAGE))] * 17)
    assert (reply.status_code, reply.json()["error"]) == (400, "form_too_many_parts")


def test_a_text_under_images_is_one_picture(florence: Running) -> None:
    assert florence.client.post("/v1/caption", json={"images": URI}).json()["caption"] == "a red circle"


def test_the_body_has_a_limit_of_its_own() -> None:
    with started(
        FAKE, "--settings", json.dumps({"max_body_bytes": 1 << 20, "max_image_bytes": 400_000})
    ) as s:
        many = [data_uri(bytes(300_000))] * 6
        reply = s.client.post("/v1/caption", json={"images": many})
        assert (reply.status_code, reply.json()["error"]) == (413, "body_too_large")


def test_a_batch_takes_one_place_and_a_hang_up_ends_it(fake: Running) -> None:
    """Each takes 0.3 s there; the client goes after the first."""
    before = cancelled(fake)
    images: list[Any] = [data_uri(red_circle((8 + n, 8), "PNG"), "png") for n in range(12)]
    with pytest.raises(httpx.ReadTimeout):
        fake.client.post("/v1/caption", json={"images": images}, timeout=0.6)
    fake.until(lambda: cancelled(fake) == before + 1, 5)
    fake.until(lambda: fake.health()["queue"] == {"running": 0, "waiting": 0, "size": 3}, 2)


def cancelled(running: Running) -> float:
    text = running.client.get("/metrics").text
    return float(text.partition("\nhailo_florence_requests_cancelled_total ")[2].split()[0])
