"""What a service does about a model that is still to come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hailo_common.arrival import Arrival
from hailo_common.engine.state import OwnPlace
from hailo_common.engine.supervisor import EngineSupervisor
from hailo_common.errors import NotReady
from hailo_common.models.manifest import Model, ModelFile
from hailo_common.models.progress import FetchState, Progress, Told, read_state
from hailo_common.models.selection import Candidate, ServedFolder, choose
from tests.hailo_common.engine.conftest import queue_of, result_of
from tests.limits import engine_spec

FILES = (ModelFile("onnx/a.onnx", (), 3, None, "0" * 64), ModelFile("config.json", (), 2, None, "0" * 64))
MODEL = Model("toy", "hailo-florence", "cpu", "", "", True, "", "MIT", "", FILES, "test")


def in_a_loop(test: Callable[[Path], Coroutine[Any, Any, None]]) -> Callable[[Path], None]:
    """A test that is a coroutine."""

    def run(tmp_path: Path) -> None:
        asyncio.run(test(tmp_path))

    run.__name__ = test.__name__
    return run


class Scene:
    """A service's parts that matter here, a store, and a demo model."""

    def __init__(self, root: Path, *, demo: bool) -> None:
        self.store, self.demo = root / "store", root / "demo"
        self.store.mkdir()
        if demo:
            self.demo.mkdir()
            (self.demo / "config.json").write_text("{}")
        self.places = [Candidate(self.store / "toy", MODEL), Candidate(self.demo)]
        self.choice = choose(self.places)
        spec = engine_spec("tests.fakes:make_engine", {"model_dir": str(self.choice.folder)})
        self.engine = EngineSupervisor(spec)
        made: Any = SimpleNamespace(engine=self.engine, queue=queue_of(self.engine))
        self.queue = made.queue
        served = ServedFolder("", self.choice, places=tuple(self.places), why="it fits")
        self.arrival = Arrival(made, served, self.store)

    def put(self, path: str, content: str) -> None:
        target = self.store / "toy" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hailo_common.arrival.LOOK_S", 0.05)


@in_a_loop
async def test_requests_are_told_how_far_the_fetch_is(tmp_path: Path) -> None:
    scene = Scene(tmp_path, demo=False)
    assert not scene.choice.ready
    scene.arrival.hold()
    scene.engine.start()
    task = asyncio.create_task(scene.arrival.run())
    told = Told(Progress(), scene.store)
    told.plan("toy", 1000, 410)
    await scene.until(lambda: "41 %" in scene.engine.state.reason)
    with pytest.raises(NotReady, match="The model is not ready: the model toy is being fetched: 41 %"):
        await result_of(scene.queue)
    fetch = scene.engine.state.origin["fetch"]
    assert (fetch["model"], fetch["done"], fetch["total"], fetch["problem"]) == ("toy", 410, 1000, None)
    told.over("toy", "the disk is full")
    await scene.until(lambda: scene.engine.state.reason.endswith("could not be fetched: the disk is full"))
    assert scene.engine.state.pid is None
    scene.put("onnx/a.onnx", "abc")
    scene.put("config.json", "{")
    await asyncio.sleep(0.3)
    assert scene.engine.state.pid is None, "half a file is no model"
    scene.put("config.json", "{}")
    await scene.until(lambda: scene.engine.state.ready)
    await asyncio.wait_for(task, 5)
    assert (await result_of(scene.queue))["text"] == "sum 0"
    assert scene.engine.state.origin["awaits"] is None
    assert scene.engine.state.origin["fetch"] is None
    assert scene.engine.state.origin["trust"] == {"stated": 2}
    await scene.engine.close()


@in_a_loop
async def test_a_stand_in_makes_room_without_a_restart_and_lets_requests_end(tmp_path: Path) -> None:
    scene = Scene(tmp_path, demo=True)
    assert (scene.choice.folder, scene.choice.awaited) == (scene.demo, MODEL)
    scene.arrival.hold()
    scene.engine.start()
    task = asyncio.create_task(scene.arrival.run())
    await scene.engine.until_ready(20)
    first = scene.engine.state.pid
    assert "toy is not here yet" in scene.engine.state.origin["awaits"]
    request = asyncio.create_task(result_of(scene.queue, steps=10, step_s=0.1))
    await scene.until(lambda: scene.queue.running)
    scene.put("onnx/a.onnx", "abc")
    scene.put("config.json", "{}")
    assert (await request)["completion_tokens"] == 10
    await scene.until(lambda: scene.engine.state.ready and scene.engine.state.pid != first)
    assert scene.engine.spec.options["model_dir"] == str(scene.store / "toy")
    assert scene.engine.state.restarts == 0
    await asyncio.wait_for(task, 5)
    await scene.engine.close()


@in_a_loop
async def test_a_stand_in_is_back_when_the_real_model_cannot_be_loaded(tmp_path: Path) -> None:
    scene = Scene(tmp_path, demo=True)
    (scene.demo / "sound").touch()
    options = {"model_dir": str(scene.demo), "load_error": "corrupt", "healed": "sound"}
    scene.engine.spec = engine_spec("tests.fakes:make_engine", options)
    scene.engine.start()
    task = asyncio.create_task(scene.arrival.run())
    await scene.engine.until_ready(20)
    scene.put("onnx/a.onnx", "abc")
    scene.put("config.json", "{}")
    await scene.until(lambda: scene.engine.state.phase == "failed")
    await scene.until(lambda: scene.engine.state.ready)
    assert scene.engine.spec.options["model_dir"] == str(scene.demo)
    await asyncio.wait_for(task, 5)
    assert scene.engine.state.origin["awaits"] == "the model toy cannot be loaded: a corrupt model"
    await scene.engine.close()


@in_a_loop
async def test_a_stand_in_that_cannot_be_loaded_makes_room_too(tmp_path: Path) -> None:
    scene = Scene(tmp_path, demo=True)
    healed = scene.store / "toy/config.json"
    options = {"model_dir": str(scene.demo), "load_error": "corrupt", "healed": str(healed)}
    scene.engine.spec = engine_spec("tests.fakes:make_engine", options)
    scene.engine.start()
    task = asyncio.create_task(scene.arrival.run())
    await scene.until(lambda: scene.engine.state.phase == "failed")
    scene.put("onnx/a.onnx", "abc")
    scene.put("config.json", "{}")
    await scene.until(lambda: scene.engine.state.ready)
    await asyncio.wait_for(task, 5)
    await scene.engine.close()


def test_the_state_of_a_fetch_goes_stale_and_survives_nonsense(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_state(tmp_path, "toy") is None
    lines: list[str] = []
    told = Told(Progress(), tmp_path, lines.append)
    told.plan("toy", 1_000_000, 0)
    clock = [time.monotonic()]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    told.begin("toy/a", 100_000, 1_000_000)
    clock[0] += 10
    told.advance(100_000)
    state = read_state(tmp_path, "toy")
    assert state
    assert (state.done, state.total) == (200_000, 1_000_000)
    assert state.text() == "20 %, about 80 seconds"
    assert lines[-1] == "toy: 20 %, about 80 seconds"
    now = time.clock_gettime(time.CLOCK_BOOTTIME)
    monkeypatch.setattr("hailo_common.models.progress._now", lambda: now + 61)
    assert read_state(tmp_path, "toy") is None
    told.over("toy", "no room")
    monkeypatch.setattr("hailo_common.models.progress._now", lambda: now + 9999)
    assert read_state(tmp_path, "toy") == FetchState(problem="no room", at_s=now + 61)
    for nonsense in (b"", b"[]", b'{"toy": 3}', b'{"toy": {"other": 1}}', b"\xff"):
        (tmp_path / ".fetching.json").write_bytes(nonsense)
        assert read_state(tmp_path, "toy") is None
    told.over("toy", "")
    assert not (tmp_path / ".fetching.json").exists()


@in_a_loop
async def test_one_of_several_models_that_comes_later_is_loaded_by_its_first_request(tmp_path: Path) -> None:
    scene = Scene(tmp_path, demo=False)
    engine = EngineSupervisor(scene.engine.spec, place=OwnPlace())
    made: Any = SimpleNamespace(engine=engine, queue=queue_of(engine))
    served = ServedFolder("eye", scene.choice, places=tuple(scene.places), why="it fits")
    arrival = Arrival(made, served, scene.store)
    arrival.hold()
    engine.start(load=False)
    task = asyncio.create_task(arrival.run())
    with pytest.raises(NotReady, match="toy is not here yet"):
        await asyncio.wait_for(result_of(made.queue), 5)
    scene.put("onnx/a.onnx", "abc")
    scene.put("config.json", "{}")
    await scene.until(lambda: engine.state.phase == "unloaded")
    await asyncio.sleep(0.3)
    assert engine.state.pid is None
    assert (await result_of(made.queue))["text"] == "sum 0"
    await asyncio.wait_for(task, 5)
    await engine.close()
