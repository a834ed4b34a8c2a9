"""`stream: true`: server-sent events, as the answer comes."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.hailo_florence.api.conftest import data_uri, red_circle
from tests.hailo_florence.api.running import FLORENCE, Running, started
from tests.hailo_florence.cases import DATA

IMAGE = red_circle()
URI = data_uri(IMAGE)
SLOW = data_uri(red_circle((64, 64)))


def events(running: Running, path: str, **fields: Any) -> list[Any]:
    """What a stream says, comments left out; its end must be marked."""
    with running.client.stream("POST", path, json={"stream": True, **fields}) as reply:
        assert reply.status_code == 200, reply.read()
        assert reply.headers["content-type"].startswith("text/event-stream")
        pieces = [piece for piece in reply.read().decode().split("\n\n") if piece and piece[0] != ":"]
    assert pieces[-1] == "data: [DONE]"
    return [json.loads(piece.removeprefix("data: ")) for piece in pieces[:-1]]


def text(pieces: list[Any]) -> str:
    assert all(set(piece) == {"delta"} and piece["delta"] for piece in pieces)
    return "".join(piece["delta"] for piece in pieces)


def count(running: Running, name: str) -> float:
    return float(running.client.get("/metrics").text.partition(f"\nhailo_florence_{name} ")[2].split()[0])


@pytest.mark.parametrize("more", [{}, {"num_beams": 3}, {"temperature": 1.0, "seed": 4, "min_length": 12}])
def test_a_caption_comes_in_pieces_and_then_whole(florence: Running, more: dict[str, Any]) -> None:
    *pieces, last = events(florence, "/v1/caption", image=URI, **more)
    whole = florence.client.post("/v1/caption", json={"image": URI, **more}).json()
    assert text(pieces) == last["caption"] == whole["caption"]
    ignored = {"inference_time_ms", "cached"}
    assert {key: last[key] for key in last.keys() - ignored} == {
        key: whole[key] for key in whole.keys() - ignored
    }
    if not more:
        assert len(pieces) > 1


def test_questions_and_forms_stream_too(florence: Running) -> None:
    *pieces, last = events(florence, "/v1/vqa", image=URI, question="What color is the circle?")
    assert text(pieces) == last["answer"] == "red"
    reply = florence.client.post("/v1/caption", files={"image": IMAGE}, data={"stream": "true"})
    assert reply.text.endswith("data: [DONE]\n\n")


@pytest.fixture(scope="module")
def places() -> Iterator[Running]:
    with started(FLORENCE, "--model", str(DATA / "florence-random-places")) as running:
        yield running


def test_places_come_as_one_event(places: Running) -> None:
    asked = {"image": URI, "kind": "proposals", "max_length": 60}
    (last,) = events(places, "/v1/detect", **asked)
    assert last["objects"] == places.client.post("/v1/detect", json=asked).json()["objects"]
    *pieces, last = events(places, "/v1/tasks/caption", image=URI, max_length=60)
    caption = places.client.post("/v1/caption", json={"image": URI, "max_length": 60}).json()["caption"]
    assert text(pieces) == caption
    assert last["task"] == "<CAPTION>"


def test_a_batch_has_an_event_for_each_image(florence: Running) -> None:
    bad = data_uri(b"%PDF-1.4" + bytes(100))
    *entries, totals = events(florence, "/v1/caption", images=[URI, bad, URI])
    assert [entry["index"] for entry in entries] == [0, 1, 2]
    assert [entry.get("caption") for entry in entries] == ["a red circle", None, "a red circle"]
    assert entries[1]["error"] == "unsupported_image_format"
    assert (totals["images_answered"], totals["images_failed"]) == (2, 1)
    assert "results" not in totals


def test_a_cameras_unchanged_frame_is_one_event(florence: Running) -> None:
    *pieces, first = events(florence, "/v1/caption", image=URI, camera="streamed")
    assert (text(pieces), first["unchanged"]) == (first["caption"], False)
    (again,) = events(florence, "/v1/caption", image=URI, camera="streamed")
    assert (again["caption"], again["unchanged"]) == (first["caption"], True)


def test_what_fails_before_the_start_has_its_status(florence: Running) -> None:
    for fields, status in (
        ({"image": data_uri(b"%PDF-1.4" + bytes(100))}, 400),
        ({"image": URI, "max_length": 0}, 422),
        ({"image": URI, "detail": "more"}, 501),
    ):
        reply = florence.client.post("/v1/caption", json={"stream": True, **fields})
        assert (reply.status_code, reply.json()["status"]) == (status, status)


def test_a_client_that_goes_away_cancels_its_answer() -> None:
    """The engine has 100 steps of 0.1 s, and is free again at once."""
    arguments = ("--options", '{"step_s": 0.1}')
    with started(("tests.hailo_florence.api.fake_service",), *arguments) as running:
        body = json.dumps({"image": SLOW, "stream": True, "max_length": 100}).encode()
        head = "POST /v1/caption HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        with socket.create_connection(("127.0.0.1", running.port)) as client:
            client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
            running.until(lambda: running.health()["queue"]["running"] == 1, 5)
        running.until(lambda: running.health()["queue"]["running"] == 0, 2)
        assert count(running, "requests_cancelled_total") == 1
