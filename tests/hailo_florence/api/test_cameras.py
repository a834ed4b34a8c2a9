"""Frames of a camera: while nothing changes the last answer is given again, and the model is left alone."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.hailo_florence.api.conftest import data_uri, red_circle
from tests.hailo_florence.api.running import Running, started

PLAIN = Image.open(io.BytesIO(red_circle()))


def again(seed: int, light: float = 1.0) -> str:
    """The red circle as a camera sees it another time: its own noise, another light, another file."""
    noise = np.random.default_rng(seed).normal(0, 4, (PLAIN.height, PLAIN.width, 3))
    pixels = (np.asarray(PLAIN) * light + noise).clip(0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=75)
    return data_uri(file.getvalue())


def changed() -> str:
    image = PLAIN.copy()
    image.paste((20, 60, 220), (8, 8, 90, 90))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85)
    return data_uri(file.getvalue())


def ask(running: Running, path: str = "/v1/caption", key: str = "", **fields: Any) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    reply = running.client.post(path, json=fields, headers=headers)
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


def count(running: Running, name: str) -> float:
    return float(running.client.get("/metrics").text.partition(f"\nhailo_florence_{name} ")[2].split()[0])


def test_an_unchanged_frame_never_touches_the_model(florence: Running) -> None:
    first = ask(florence, image=again(0), camera="door")
    assert first["unchanged"] is False
    assert "distance" not in first
    answers = count(florence, 'request_success_total{finished_reason="stop"}')
    unchanged = count(florence, 'scenes_total{result="unchanged"}')
    for seed in range(1, 6):
        reply = ask(florence, image=again(seed, 1 - 0.03 * seed), camera="door")
        assert reply["unchanged"] is True
        assert reply["distance"] < 0.015
        assert (reply["caption"], reply["inference_time_ms"]) == (first["caption"], 0)
    assert count(florence, 'request_success_total{finished_reason="stop"}') == answers
    assert count(florence, 'scenes_total{result="unchanged"}') == unchanged + 5
    after = ask(florence, image=changed(), camera="door")
    assert after["unchanged"] is False
    assert after["distance"] >= 0.015
    assert "blue" in after["caption"]
    assert count(florence, 'request_success_total{finished_reason="stop"}') == answers + 1


def test_what_is_asked_and_where_keeps_answers_apart(florence: Running) -> None:
    ask(florence, image=again(0), camera="yard")
    for other in ({"camera": "street"}, {"camera": "yard", "max_length": 2}):
        assert ask(florence, image=again(0), **other)["unchanged"] is False
    question = {"path": "/v1/vqa", "camera": "yard"}
    colour = ask(florence, image=again(1), question="What color is the circle?", **question)
    shape = ask(florence, image=again(2), question="What shape is it?", **question)
    assert (colour["unchanged"], shape["unchanged"]) == (False, False)
    same = ask(florence, image=again(3), question="What color is the circle?", **question)
    assert (same["unchanged"], same["answer"]) == (True, "red")


def test_a_text_in_stream_is_the_camera_in_forms_too(florence: Running) -> None:
    ask(florence, image=again(0), stream="gate")
    file = {"image": red_circle()}
    reply = florence.client.post("/v1/caption", files=file, data={"stream": "gate", "threshold": "0.05"})
    assert reply.json()["unchanged"] is True
    assert florence.client.post("/v1/caption", files=file, data={"stream": "false"}).status_code == 200


def test_the_threshold_is_the_requests(florence: Running) -> None:
    ask(florence, image=again(0), camera="hall")
    assert ask(florence, image=changed(), camera="hall", threshold=0.9)["unchanged"] is True
    assert ask(florence, image=changed(), camera="hall", threshold=0.01)["unchanged"] is False


def test_frames_may_come_as_a_batch(florence: Running) -> None:
    images = [again(0), again(1), changed(), changed(), data_uri(b"%PDF-1.4" + bytes(90))]
    body = ask(florence, images=images, camera="batch")
    assert [entry.get("unchanged") for entry in body["results"]] == [False, True, False, True, None]
    assert body["images_failed"] == 1
    single = [ask(florence, image=image)["caption"] for image in (again(0), changed())]
    assert [entry["caption"] for entry in body["results"][:4]] == [single[0], single[0], single[1], single[1]]
    assert single[0] != single[1]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"threshold": 0.1}, "threshold"),
        ({"camera": "a", "threshold": 0}, "threshold"),
        ({"camera": "a", "threshold": 1.5}, "threshold"),
        ({"camera": ""}, "camera"),
        ({"camera": "a" * 65}, "camera"),
        ({"camera": "a", "stream": "b"}, "stream"),
        ({"stream": 5}, "stream"),
    ],
)
def test_what_is_wrong_is_named(florence: Running, fields: dict[str, Any], param: str) -> None:
    reply = florence.client.post("/v1/caption", json={"image": again(0), **fields})
    assert (reply.status_code, reply.json()["param"]) == (422, param), reply.text


def test_a_bad_frame_is_an_error_and_forgets_nothing(florence: Running) -> None:
    ask(florence, image=again(0), camera="shed")
    reply = florence.client.post("/v1/caption", json={"image": data_uri(b"\xff\xd8\xff12"), "camera": "shed"})
    assert (reply.status_code, reply.json()["param"]) == (400, "image")
    assert ask(florence, image=again(1), camera="shed")["unchanged"] is True


def test_what_is_compared_is_not_what_the_model_saw(florence: Running) -> None:
    headers = {"X-Hailo-Session": "c" * 32}

    def seen(**fields: Any) -> Any:
        florence.client.post("/v1/caption", json=fields, headers=headers).raise_for_status()
        return florence.client.get("/v1/seen/0", headers=headers)

    plain = seen(image=again(0))
    assert plain.status_code == 200
    assert seen(image=again(0), camera="seen").content == plain.content
    assert florence.client.get("/v1/seen/1", headers=headers).status_code == 404
    assert seen(image=again(1), camera="seen").status_code == 404, "no model has seen that one"


def test_answers_expire_and_owners_share_none(tmp_path: Path) -> None:
    keys = ["first-of-the-keys", "second-of-the-keys"]
    config = tmp_path / "hailo-florence.yaml"
    config.write_text(f"api_keys: [{', '.join(keys)}]\nthreads: 1\nscene_keep_s: 2\n")
    with started(("hailo_florence", "--demo", "--config", str(config))) as running:
        assert ask(running, key=keys[0], image=again(0), camera="a")["unchanged"] is False
        assert ask(running, key=keys[1], image=again(0), camera="a")["unchanged"] is False
        assert ask(running, key=keys[0], image=again(1), camera="a")["unchanged"] is True
        running.until(
            lambda: not ask(running, key=keys[0], image=again(2), camera="a")["unchanged"], seconds=10
        )
