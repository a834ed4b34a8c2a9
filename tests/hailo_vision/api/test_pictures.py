"""Pictures of strangers: each refusal has its status, its code and the field it came in."""

from __future__ import annotations

import json

import pytest

from tests.hailo_common.images.heif.make import SAMPLES, grid, needs_codec, with_size
from tests.hailo_common.images.make import AVIF
from tests.hailo_florence.api.conftest import data_uri, red_circle
from tests.hailo_florence.api.running import Running
from tests.hailo_vision.api.conftest import CHAT, URI, body, post
from tests.hailo_vision.api.shapes import check_error

GOOD = red_circle()
WHERE = "messages[0].content[0].image_url.url"


def post_image(running: Running, url: str) -> tuple[int, str, str | None]:
    """Status, code and param for a picture."""
    part = {"type": "image_url", "image_url": {"url": url}}
    reply = post(running, {"role": "user", "content": [part]})
    if reply.status_code == 200:
        return 200, "", None
    check_error(reply.json())
    error = reply.json()["error"]
    return reply.status_code, error["code"], error["param"]


@pytest.mark.parametrize(
    ("url", "status", "code"),
    [
        ("http://127.0.0.1/a.jpg", 400, "unsupported_image_url"),
        ("https://example.com/a.jpg", 400, "unsupported_image_url"),
        ("HTTP://example.com/a.jpg", 400, "unsupported_image_url"),
        ("file:///etc/passwd", 400, "unsupported_image_url"),
        ("/etc/passwd", 400, "unsupported_image_url"),
        ("C:\\a.jpg", 400, "unsupported_image_url"),
        ("ftp://a/b", 400, "unsupported_image_url"),
        ("", 400, "image_empty"),
        ("data:image/jpeg;base64,AAAAA", 400, "invalid_base64"),
        ("data:image/jpeg;base64,", 400, "image_empty"),
        ("data:image/jpeg,AAAA", 400, "unsupported_image_format"),
        ("data:,AAAA", 400, "unsupported_image_format"),
        (URI + "," + URI, 400, "invalid_base64"),
        (data_uri(b"GIF89a" + bytes(100), "gif"), 400, "invalid_image"),
        (data_uri(b"%PDF-1.4 " + bytes(100)), 400, "unsupported_image_format"),
        (data_uri(GOOD[:-1000]), 400, "image_truncated"),
        (data_uri(bytes(10_600_000)), 413, "image_too_large"),
        (data_uri(red_circle((4096, 2160), "PNG"), "png"), 400, "too_many_pixels"),
        (data_uri(red_circle((402, 2), "PNG"), "png"), 400, "image_aspect_ratio"),
        (data_uri(red_circle((1, 40), "PNG"), "png"), 400, "image_side_out_of_range"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_images(vision: Running, url: str, status: int, code: str) -> None:
    assert post_image(vision, url) == (status, code, WHERE)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", *AVIF])
@pytest.mark.parametrize("size", [(1920, 1080), (2, 400), (2, 2), (640, 480)])
def test_good_images(vision: Running, kind: str, size: tuple[int, int]) -> None:
    if kind == "AVIF" and min(size) < 16:
        pytest.skip("its encoder makes no such image")
    assert post_image(vision, data_uri(red_circle(size, kind), kind.lower()))[0] == 200


def test_a_photograph_of_a_phone_is_answered_and_a_png_of_its_size_is_not(vision: Running) -> None:
    assert post_image(vision, data_uri(red_circle((4032, 3024))))[0] == 200
    assert post_image(vision, data_uri(red_circle((4032, 3024), "PNG"), "png"))[:2] == (
        400,
        "too_many_pixels",
    )


@needs_codec
def test_a_heic_of_a_phone_is_answered_and_one_that_is_not_in_pieces_is_not(vision: Running) -> None:
    photograph = grid((4032, 3024), (8, 6), piece=(512, 512), of="large", same=False)
    assert post_image(vision, data_uri(photograph, "heic"))[0] == 200
    whole = with_size(SAMPLES["turned"], (4032, 3024))
    assert post_image(vision, data_uri(whole, "heic"))[:2] == (400, "too_many_pixels")


def test_ten_thumbnails_that_are_small_enough_to_count_as_text(vision: Running) -> None:
    small = data_uri(GOOD + bytes(30_000))
    parts = [{"type": "image_url", "image_url": {"url": small, "detail": "low"}}] * 10
    reply = post(vision, {"role": "user", "content": [{"type": "text", "text": "Describe."}, *parts]})
    assert reply.status_code == 200, reply.text
    assert reply.json()["usage"]["prompt_tokens_details"]["image_tokens"] == 40


def test_a_bad_image_among_good_ones_is_named(vision: Running) -> None:
    parts = [
        {"type": "image_url", "image_url": URI},
        {"type": "image_url", "image_url": data_uri(GOOD[:900])},
    ]
    reply = post(vision, {"role": "user", "content": "Hi"}, {"role": "user", "content": parts})
    assert reply.json()["error"]["param"] == "messages[1].content[1].image_url"


def test_more_text_than_any_model_reads_never_reaches_the_engine(vision: Running) -> None:
    for text in ("x " * 2_000_000, "x" * 300_000):
        reply = post(vision, {"role": "user", "content": "Hi"}, {"role": "user", "content": text})
        error = reply.json()["error"]
        assert (reply.status_code, error["code"]) == (400, "context_length_exceeded")
        assert error["param"] == "messages"
    prompt = {"images": [URI], "prompt": "x " * 2_000_000}
    reply = vision.client.post("/v1/vision/analyze", json=prompt)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "prompt")


def test_a_body_over_the_limit_is_413(vision: Running) -> None:
    reply = vision.client.post(CHAT, content=json.dumps(body()) + " " * 33_600_000)
    assert reply.status_code in (413, 415)
    reply = vision.client.post(CHAT, content=b" " * 33_600_000, headers={"Content-Type": "application/json"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (413, "body_too_large")


def test_nothing_of_an_image_stays_behind(vision: Running) -> None:
    before = vision.health()["memory_mb"]["http"]
    big = data_uri(red_circle((2000, 2000), "PNG") + bytes(3_000_000), "png")
    for _ in range(15):
        post_image(vision, big)
    assert vision.health()["memory_mb"]["http"] < before + 40
