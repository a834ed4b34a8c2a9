"""Every task that the decoder's window has room for is served on the chip, as the CPU serves it.

The model has random weights and all location tokens; window and room for a prompt are of a fixed size there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hailo_florence.protocol import TASKS
from tests.hailo_florence.api.conftest import data_uri, red_circle
from tests.hailo_florence.api.running import FLORENCE, Running, started
from tests.hailo_florence.cases import DATA
from tests.hailo_florence.npu.serving import on_chip
from tests.hailo_sim.florence import WINDOW
from tests.hailo_sim.make import make_florence_folder
from tests.npu import Machine

PLACES = DATA / "florence-random-places"
ROOM = WINDOW - 2
"""Tokens of an answer: the start token and BOS stand in the window, too."""
FITTING = [task for task, spec in TASKS.items() if spec.least <= ROOM]
PICTURES = [data_uri(red_circle(size, "PNG"), "png") for size in ((320, 240), (100, 300))]
TAKEN: dict[str, dict[str, Any]] = {
    "": {},
    "text": {"text": "a cat"},
    "region": {"box": [10, 20, 90, 200]},
}


@pytest.fixture(scope="module")
def chip(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = make_florence_folder(tmp_path_factory.mktemp("npu-places") / "florence", PLACES, room=64)
    with Machine(tmp_path_factory.mktemp("places")) as machine, on_chip(machine, folder) as running:
        yield running


@pytest.fixture(scope="module")
def cpu() -> Iterator[Running]:
    with started(FLORENCE, "--model", str(PLACES)) as running:
        yield running


def test_the_window_decides_which_tasks_there_are(chip: Running) -> None:
    listed = {entry["name"]: entry for entry in chip.client.get("/v1/tasks").json()["tasks"]}
    assert [name for name, entry in listed.items() if entry["available"]] == FITTING
    assert {"od", "ocr_with_region", "region_to_description", "vqa"} <= set(FITTING) < set(TASKS)
    for name, entry in listed.items():
        if name not in FITTING:
            assert f"and the decoder has {ROOM}" in entry["reason"]
            reply = chip.client.post(f"/v1/tasks/{name}", json={"image": PICTURES[0], **given(name)})
            assert (reply.status_code, reply.json()["error"]) == (501, "task_not_supported")


@pytest.mark.parametrize("more", [{}, {"num_beams": 3}], ids=["greedy", "beams"])
def test_answers_are_the_cpus(chip: Running, cpu: Running, more: dict[str, Any]) -> None:
    """Quantisation may turn a tie between tokens of random weights: nearly all are the same."""
    pairs = []
    for task in FITTING:
        for picture in PICTURES:
            asked = {"image": picture, "max_length": ROOM, **given(task), **more}
            replies = [each.client.post(f"/v1/tasks/{task}", json=asked) for each in (chip, cpu)]
            assert [reply.status_code for reply in replies] == [200, 200], replies[0].text
            pairs.append([(reply.json()["text"], reply.json()["result"]) for reply in replies])
    same = sum(one == two for one, two in pairs)
    assert same >= 0.9 * len(pairs), f"{same} of {len(pairs)}"


def test_a_stream_and_a_batch_on_the_chip(chip: Running) -> None:
    single = [chip.client.post("/v1/ocr", json={"image": picture}).json()["text"] for picture in PICTURES]
    batch = chip.client.post("/v1/ocr", json={"images": PICTURES}).json()
    assert [entry["text"] for entry in batch["results"]] == single
    assert all(entry["cached"] for entry in batch["results"])
    streamed = chip.client.post("/v1/ocr", json={"image": PICTURES[0], "stream": True})
    assert streamed.text.endswith("data: [DONE]\n\n")


def given(task: str) -> dict[str, Any]:
    return TAKEN[TASKS[task].takes]
