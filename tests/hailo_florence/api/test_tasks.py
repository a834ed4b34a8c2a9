"""The routes that find, outline and read things, over HTTP, on a random model with all location tokens."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hailo_common.models.manifest import read_catalogue
from hailo_florence.protocol import ABLE, TASKS
from tests.hailo_florence.api.conftest import data_uri, red_circle
from tests.hailo_florence.api.running import FLORENCE, Running, started
from tests.hailo_florence.cases import DATA

TREE = Path(__file__).parents[3]
FOLDER = DATA / "florence-random-places"
WIDTH, HEIGHT = 320, 240
IMAGE = red_circle((WIDTH, HEIGHT))
URI = data_uri(IMAGE)


@pytest.fixture(scope="module")
def places() -> Iterator[Running]:
    with started(FLORENCE, "--model", str(FOLDER)) as running:
        yield running


def post(running: Running, path: str, **fields: Any) -> Any:
    return running.client.post(path, json={"image": URI, "max_length": 60, **fields})


def numbers(value: Any) -> Iterator[float]:
    if isinstance(value, list):
        for item in value:
            yield from numbers(item)
    else:
        yield value


@pytest.mark.parametrize(
    ("path", "fields", "task"),
    [
        ("/v1/caption", {}, "caption"),
        ("/v1/caption", {"detail": "detailed"}, "detailed_caption"),
        ("/v1/caption", {"detail": "more"}, "more_detailed_caption"),
        ("/v1/vqa", {"question": "red?"}, "vqa"),
        ("/v1/detect", {}, "od"),
        ("/v1/detect", {"kind": "regions"}, "dense_region_caption"),
        ("/v1/detect", {"kind": "proposals"}, "region_proposal"),
        ("/v1/detect", {"text": "a cat"}, "open_vocabulary_detection"),
        ("/v1/ground", {"text": "a cat"}, "caption_to_phrase_grounding"),
        ("/v1/segment", {"text": "a cat"}, "referring_expression_segmentation"),
        ("/v1/segment", {"box": [10, 10, 100, 90]}, "region_to_segmentation"),
        ("/v1/ocr", {}, "ocr"),
        ("/v1/ocr", {"regions": True}, "ocr_with_region"),
        ("/v1/ocr", {"box": [10, 10, 100, 90]}, "region_to_ocr"),
        ("/v1/region", {"box": [10, 10, 100, 90]}, "region_to_category"),
        ("/v1/region", {"box": [10, 10, 100, 90], "detail": "description"}, "region_to_description"),
    ],
)
def test_each_request_is_its_task(places: Running, path: str, fields: dict[str, Any], task: str) -> None:
    """What a route answers is what the raw task answers."""
    reply = post(places, path, **fields)
    assert reply.status_code == 200, reply.text
    body = reply.json()
    given = {key: value for key, value in fields.items() if key in ("text", "box")}
    if "question" in fields:
        given["text"] = fields["question"]
    raw = post(places, f"/v1/tasks/{task}", **given).json()
    assert raw["task"] == TASKS[task].token
    assert body["token_count"] == raw["token_count"]
    if "objects" in body:
        key = {"quads": "quad", "polygons": "polygons"}.get(TASKS[task].gives, "box")
        column = {"quad": "quad_boxes", "polygons": "polygons", "box": "bboxes"}[key]
        assert [place[key] for place in body["objects"] if key in place] == raw["result"][column]
        assert all(isinstance(number, int) for number in numbers(raw["result"][column]))


def test_places_are_in_pixels_of_the_image_as_it_is_seen(places: Running) -> None:
    """A camera held upright: stored lying, turned by EXIF."""
    upright = Image.open(io.BytesIO(IMAGE)).transpose(Image.Transpose.ROTATE_90)
    stored = upright.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    files = []
    for image, tags in ((upright, Image.Exif()), (stored, exif)):
        file = io.BytesIO()
        image.save(file, "PNG", exif=tags)
        files.append(data_uri(file.getvalue(), "png"))
    plain, turned = (post(places, "/v1/detect", image=uri, kind="proposals").json() for uri in files)
    assert plain["objects"]
    assert plain["objects"] == turned["objects"]
    assert max(box["box"][1] for box in plain["objects"]) > HEIGHT
    shares = post(places, "/v1/detect", image=files[1], kind="proposals", normalised=True).json()["objects"]
    sides = (HEIGHT, WIDTH, HEIGHT, WIDTH)
    for share, pixel in zip(shares, plain["objects"], strict=True):
        assert all(0 < value < 1 for value in share["box"])
        for value, place, side in zip(share["box"], pixel["box"], sides, strict=True):
            assert abs(value * side - place) <= 1


def test_a_box_means_the_same_in_both_units_and_in_a_form(places: Running) -> None:
    pixels = post(places, "/v1/region", box=[32, 24, 160, 120]).json()["text"]
    shares = post(places, "/v1/region", box=[0.1, 0.1, 0.5, 0.5], normalised=True).json()["text"]
    other = post(places, "/v1/region", box=[0, 0, WIDTH, HEIGHT]).json()["text"]
    files = {"image": ("a.jpg", IMAGE)}
    fields = {"box": "32,24,160,120", "max_length": "60"}
    form = places.client.post("/v1/region", files=files, data=fields).json()["text"]
    assert pixels == shares == form
    assert other != pixels


@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        ("/v1/region", {}, "box"),
        ("/v1/region", {"box": [1, 2, 3]}, "box"),
        ("/v1/region", {"box": [1, 2, 3, "x"]}, "box"),
        ("/v1/region", {"box": [50, 2, 3, 4]}, "box"),
        ("/v1/region", {"box": [0, 0, WIDTH + 1, 4]}, "box"),
        ("/v1/region", {"box": [0, 0, 2, 1], "normalised": True}, "box"),
        ("/v1/region", {"box": [0, 0, 2, 1], "detail": "all"}, "detail"),
        ("/v1/segment", {}, "text"),
        ("/v1/segment", {"text": "a", "box": [0, 0, 1, 1]}, "text"),
        ("/v1/ground", {"text": "  "}, "text"),
        ("/v1/ground", {}, "text"),
        ("/v1/ocr", {"regions": True, "box": [0, 0, 1, 1]}, "regions"),
        ("/v1/ocr", {"regions": "perhaps"}, "regions"),
        ("/v1/detect", {"kind": "cats"}, "kind"),
        ("/v1/detect", {"max_length": 1001}, "max_length"),
        ("/v1/caption", {"max_length": 201}, "max_length"),
        ("/v1/tasks/od", {"text": "a"}, "text"),
        ("/v1/tasks/vqa", {}, "text"),
        ("/v1/tasks/region_to_ocr", {"text": "a"}, "text"),
        ("/v1/ground", {"text": "cat " * 900}, "text"),
    ],
)
def test_what_is_wrong_is_named(places: Running, path: str, fields: dict[str, Any], param: str) -> None:
    reply = post(places, path, **fields)
    assert (reply.status_code, reply.json().get("param")) == (422, param), reply.text


@pytest.mark.parametrize("name", ["od", "OD", "<OD>", "%3COD%3E"])
def test_a_task_has_its_name_and_its_token(places: Running, name: str) -> None:
    assert post(places, f"/v1/tasks/{name}").json()["task"] == "<OD>"


def test_an_unknown_task_is_404(places: Running) -> None:
    assert post(places, "/v1/tasks/fly").json()["error"] == "task_not_found"


def test_all_tasks_are_listed_and_counted(places: Running) -> None:
    listed = places.client.get("/v1/tasks").json()["tasks"]
    assert [entry["name"] for entry in listed] == list(TASKS)
    assert all(entry["available"] and "reason" not in entry for entry in listed)
    post(places, "/v1/ocr")
    metrics = places.client.get("/metrics").text
    count = 'hailo_florence_task_inference_time_seconds_count{task="ocr"}'
    assert float(metrics.partition(count)[2].split()[0]) >= 1
    assert '_count{task="region_to_segmentation"}' in metrics


def test_what_the_demo_model_was_not_made_for_is_501_with_the_reason(florence: Running) -> None:
    listed = florence.client.get("/v1/tasks").json()["tasks"]
    assert {entry["name"] for entry in listed if entry["available"]} == {"caption", "vqa"}
    assert all(entry["reason"] for entry in listed if not entry["available"])
    reply = post(florence, "/v1/detect")
    assert (reply.status_code, reply.json()["error"]) == (501, "task_not_supported")
    assert f"{ABLE} can, on the CPU: sudo hailo-ctl models fetch {ABLE}" in reply.json()["message"]
    able = read_catalogue([TREE / "models.manifest"]).find(ABLE)
    assert (able.service, able.backend) == ("hailo-florence", "cpu")
    assert "location tokens" in reply.json()["message"]
    reply = post(florence, "/v1/caption", detail="more")
    assert reply.status_code == 501
    assert "not made for" in reply.json()["message"]
