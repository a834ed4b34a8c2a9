"""The supervisor against a real engine process that runs the fake engine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from hailo_common import errors
from hailo_common.engine.job import Job
from hailo_common.engine.supervisor import EngineSupervisor
from hailo_common.ipc.child_process import start_child
from hailo_common.ipc.messages import memfd_with
from hailo_common.web.health import health_status
from tests.fakes import Order
from tests.hailo_common.engine.conftest import MakeEngine
from tests.limits import engine_spec


class Frame:
    """An 8x8 picture of ones in a memfd."""

    height = width = 8

    def __init__(self) -> None:
        self.fd = memfd_with("frame", [bytes([1]) * 8 * 8 * 3])


async def result(engine: EngineSupervisor, *, images: tuple[Any, ...] = (), **request: Any) -> dict[str, Any]:
    """What comes of one request."""
    job = submit(engine, request, images)
    while job.result is None:
        await job.news()
    return dict(job.result)


def submit(
    engine: EngineSupervisor, order: dict[str, Any], images: tuple[Any, ...] = (), *, stream: bool = False
) -> Job:
    """A job of the fake engine."""
    return engine.submit(Order(order), images, stream=stream, on_end=lambda: None)


async def texts_of(job: Job) -> list[str]:
    """All texts of a job."""
    texts: list[str] = []
    while job.result is None:
        texts += await job.news()
    return texts + await job.news()


def run(main: Any) -> None:
    asyncio.run(main())


def test_an_image_crosses_as_shared_memory(make_engine: MakeEngine) -> None:
    async def main() -> None:
        frame = Frame()
        async with make_engine() as engine:
            assert (await result(engine, images=(frame,)))["text"] == f"sum {8 * 8 * 3}"
            os.close(frame.fd)

    run(main)


def test_texts_come_only_when_streaming(make_engine: MakeEngine) -> None:
    async def main() -> None:
        async with make_engine() as engine:
            streamed = await texts_of(submit(engine, {"steps": 4, "step_s": 0.01}, stream=True))
            silent = await texts_of(submit(engine, {"steps": 4}))
        assert streamed == ["0", "1", "2", "3"]
        assert silent == []

    run(main)


def test_a_big_request_crosses_whole(make_engine: MakeEngine) -> None:
    async def main() -> None:
        async with make_engine() as engine:
            assert (await result(engine, padding="x" * 3_000_000, steps=1))["completion_tokens"] == 1

    run(main)


@pytest.mark.parametrize(
    ("act", "kind", "message"),
    [
        ("die", errors.EngineLost, "stopped while it worked"),
        ("raise", errors.EngineFailed, "The model failed on this request."),
        ("refuse", errors.InvalidParameter, "too long"),
        ("lose", errors.DeviceLost, "the device went away"),
    ],
)
def test_a_failing_request_gets_its_error_and_the_next_one_succeeds(
    make_engine: MakeEngine, act: str, kind: type[errors.ServiceError], message: str
) -> None:
    async def main() -> None:
        async with make_engine() as engine:
            with pytest.raises(kind, match=message) as caught:
                await result(engine, act=act)
            assert "secret" not in caught.value.message
            await asyncio.sleep(0.05)
            await engine.until_ready(20)
            assert (await result(engine))["completion_tokens"] == 3

    run(main)


def test_a_killed_engine_keeps_its_exact_reason(make_engine: MakeEngine) -> None:
    async def main() -> None:
        async with make_engine() as engine:
            with pytest.raises(errors.EngineLost):
                await result(engine, act="die")
            assert engine.state.phase == "restarting"
            assert engine.state.reason == "the engine process ended: killed by SIGKILL"
            await engine.until_ready(20)
            assert engine.state.restarts == 1

    run(main)


def test_a_stopped_engine_ends_in_the_deadline(make_engine: MakeEngine) -> None:
    async def main() -> None:
        async with make_engine(spec={"request_timeout_s": 0.5}) as engine:
            started = time.monotonic()
            with pytest.raises(errors.EngineTimeout, match=r"did not answer within 0\.5 s"):
                await result(engine, act="stop")
            assert time.monotonic() - started < 5
            await asyncio.sleep(0.1)
            await engine.until_ready(20)
            assert "outlasted its deadline" in engine.state.last_exit
            assert (await result(engine))["completion_tokens"] == 3

    run(main)


async def stopped(engine: EngineSupervisor) -> None:
    """Return when the engine's process is stopped by a signal."""
    stat = Path(f"/proc/{engine.state.pid}/stat")
    async with asyncio.timeout(30):
        while stat.read_text(encoding="ascii").rpartition(")")[2].split()[0] != "T":
            await asyncio.sleep(0.02)


def test_an_engine_at_work_that_hangs_is_not_ready_before_its_deadline(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with make_engine(spec={"request_timeout_s": 60.0}) as engine:
            job = submit(engine, {"act": "stop"})
            await stopped(engine)
            assert not engine.state.silent_s, "so long is nothing"
            await asyncio.sleep(0.5)
            monkeypatch.setattr("hailo_common.engine.state.SILENT_S", 0.4)
            assert engine.state.silent_s > 0.4
            assert health_status(engine.state) == "degraded"
            os.kill(engine.state.pid or 0, signal.SIGCONT)
            await texts_of(job)
            assert not engine.state.silent_s, "an idle engine has nothing to say"

    run(main)


def test_an_engine_at_work_for_long_gives_signs_of_life(make_engine: MakeEngine) -> None:
    async def main() -> None:
        async with make_engine() as engine:
            submit(engine, {"steps": 1, "step_s": 7.0})
            heard = set()
            for _ in range(13):
                await asyncio.sleep(0.5)
                heard.add(engine.state.heard_at)
            assert len(heard) >= 3, "its start, and a sign every three seconds"

    run(main)


def test_three_timeouts_mean_a_stuck_device(make_engine: MakeEngine) -> None:
    async def main() -> None:
        async with make_engine(spec={"request_timeout_s": 0.2}) as engine:
            for _ in range(3):
                assert not engine.state.stuck
                with pytest.raises(errors.EngineTimeout):
                    await result(engine, act="stop")
                await asyncio.sleep(0.1)
                await engine.until_ready(20)
            assert engine.state.stuck

    run(main)


def test_an_idle_engine_that_hangs_is_replaced(make_engine: MakeEngine) -> None:
    async def main() -> None:
        spec = {"beat_interval_s": 0.1, "beat_timeout_s": 0.3, "vitals_timeout_s": 0.3}
        async with make_engine(spec=spec) as engine:
            first = engine.state.pid
            assert first is not None
            os.kill(first, signal.SIGSTOP)
            while engine.state.pid == first:
                await asyncio.sleep(0.05)
            assert re.search("no sign of life|was not read", engine.state.last_exit)
            await engine.until_ready(20)

    run(main)


def test_a_slow_device_is_no_dead_engine(make_engine: MakeEngine) -> None:
    """Its readings take longer than a sign of life may; requests wait for them and are answered."""

    async def main() -> None:
        spec = {"beat_interval_s": 0.1, "beat_timeout_s": 0.3}
        async with make_engine(spec=spec, vitals_s=1.0) as engine:
            first = engine.state.pid
            async with asyncio.timeout(20):
                while not engine.state.vitals:
                    await asyncio.sleep(0.05)
            assert (await result(engine))["pid"] == first
            assert engine.state.restarts == 0

    run(main)


def test_a_device_that_hangs_costs_a_request_and_its_engine(make_engine: MakeEngine) -> None:
    async def main() -> None:
        spec = {"beat_interval_s": 0.1, "vitals_timeout_s": 1.0}
        async with make_engine(spec=spec, vitals_s=60) as engine:
            first = engine.state.pid
            await asyncio.sleep(0.3)
            with pytest.raises(errors.EngineLost):
                await result(engine)
            assert engine.state.reason == "the engine process ended: its device was not read within 1 s"
            async with asyncio.timeout(20):
                while engine.state.pid == first:
                    await asyncio.sleep(0.05)

    run(main)


def test_an_idle_engine_that_finds_its_device_lost_is_replaced(
    make_engine: MakeEngine, tmp_path: Path
) -> None:
    """Before a request would meet it: that one has a new engine, and its answer."""

    async def main() -> None:
        lost = tmp_path / "lost"
        async with make_engine(spec={"beat_interval_s": 0.1}, lost=str(lost)) as engine:
            phases: list[tuple[str, str]] = []
            engine.on_change = lambda state: phases.append((state.phase, state.code))
            first = engine.state.pid
            lost.touch()
            async with asyncio.timeout(20):
                while engine.state.pid == first:
                    await asyncio.sleep(0.02)
            await engine.until_ready(20)
            assert (await result(engine))["pid"] == engine.state.pid
            state = engine.state
            assert (state.restarts, state.device_losses, state.last_exit) == (1, 1, "the device went away")
            assert phases[0] == ("restarting", "device_gone")

    run(main)


def test_the_pulse_outlasts_the_librarys_own_limits() -> None:
    """HailoRT gives a request 10 s and notices a lost reply only then; opening and reading are several."""
    spec = engine_spec("tests.fakes:make_engine", {})
    assert spec.beat_timeout_s >= 25
    assert spec.vitals_timeout_s >= 3 * 10 + 25


def test_an_idle_engine_that_dies_is_replaced_at_once(make_engine: MakeEngine) -> None:
    async def main() -> None:
        async with make_engine() as engine:
            assert engine.state.pid is not None
            os.kill(engine.state.pid, signal.SIGKILL)
            async with asyncio.timeout(10):
                while engine.state.ready:
                    await asyncio.sleep(0.01)
            await engine.until_ready(20)

    run(main)


def test_cancelling_stops_within_one_token(make_engine: MakeEngine) -> None:
    async def main() -> None:
        async with make_engine() as engine:
            job = submit(engine, {"steps": 1000, "step_s": 0.05}, stream=True)
            assert await job.news() == ["0"]
            engine.cancel(job)
            started = time.monotonic()
            assert (await result(engine))["completion_tokens"] == 3
            assert time.monotonic() - started < 1

    run(main)


def test_a_load_that_hangs_is_killed_and_tried_again(make_engine: MakeEngine) -> None:
    async def main() -> None:
        async with make_engine(ready=False, spec={"load_timeout_s": 0.5}, load_s=60) as engine:
            while engine.state.restarts < 2:
                await asyncio.sleep(0.05)
            assert engine.state.last_exit == "the engine process ended: the model did not load within 0.5 s"

    run(main)


def test_a_missing_model_is_found_when_it_comes(make_engine: MakeEngine, tmp_path: Path) -> None:
    async def main() -> None:
        healed = tmp_path / "healed"
        async with make_engine(ready=False, load_error="missing", healed=str(healed)) as engine:
            while engine.state.phase == "loading":
                await asyncio.sleep(0.02)
            assert (engine.state.kind, engine.state.reason) == ("ModelMissing", "a missing model")
            healed.touch()
            await engine.until_ready(20)

    run(main)


def test_a_corrupt_model_is_never_tried_again(make_engine: MakeEngine) -> None:
    async def main() -> None:
        async with make_engine(ready=False, load_error="corrupt") as engine:
            with pytest.raises(errors.NotReady, match="a corrupt model"):
                await engine.until_ready(20)
            assert engine.state.phase == "failed"
            assert engine.alive

    run(main)


def test_a_bug_while_loading_is_told_without_its_text(make_engine: MakeEngine) -> None:
    async def main() -> None:
        async with make_engine(ready=False, load_error="bug") as engine:
            while engine.state.restarts < 1:
                await asyncio.sleep(0.02)
            assert engine.state.last_exit == "KeyError while loading the model (see the log)"

    run(main)


def test_closing_lets_the_engine_release_its_device(make_engine: MakeEngine, tmp_path: Path) -> None:
    async def main() -> None:
        mark = tmp_path / "closed"
        async with make_engine(closed_mark=str(mark)):
            pass
        assert mark.read_text() == "closed\n"

    run(main)


@pytest.mark.parametrize("before", [0, 1], ids=["the first request", "a later one"])
def test_closing_in_a_slow_step_lets_the_engine_release_its_device(
    make_engine: MakeEngine, tmp_path: Path, before: int
) -> None:
    """A chip that reads several images answers no cancel meanwhile; killed, nothing is given back."""

    async def main() -> None:
        mark = tmp_path / "closed"
        async with make_engine(spec={"beat_interval_s": 0.1}, closed_mark=str(mark)) as engine:
            for _ in range(before):
                await result(engine, steps=1, step_s=2.5)
                await asyncio.sleep(0.3)
            job = submit(engine, {"steps": 5, "step_s": 4.0}, stream=True)
            await job.news()  # the second step begins
            await asyncio.sleep(0.3)
            began = time.monotonic()
        assert mark.read_text() == "closed\n"
        assert 2 < time.monotonic() - began < 12

    run(main)


def test_an_engine_that_hangs_is_waited_for_no_longer_than_its_steps_took(
    make_engine: MakeEngine, tmp_path: Path
) -> None:
    async def main() -> None:
        mark = tmp_path / "closed"
        async with make_engine(spec={"beat_interval_s": 0.1}, closed_mark=str(mark)) as engine:
            await result(engine, steps=1, step_s=0.2)
            await asyncio.sleep(0.3)
            submit(engine, {"act": "stop"})
            await stopped(engine)
            began = time.monotonic()
        assert not mark.exists()
        assert 2 <= time.monotonic() - began < 8

    run(main)


def test_no_descriptor_leaks_over_many_restarts(make_engine: MakeEngine) -> None:
    async def main() -> None:
        async with make_engine() as engine:
            before = len(list(Path("/proc/self/fd").iterdir()))
            for _ in range(5):
                with contextlib.suppress(errors.EngineLost):
                    await result(engine, act="die")
                await asyncio.sleep(0.02)
                await engine.until_ready(20)
            assert len(list(Path("/proc/self/fd").iterdir())) <= before

    run(main)


def test_a_child_that_is_gone_before_its_first_message_is_replaced(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = ["tests.there_is_no_such_module"]

    def start(module: str) -> Any:
        if not missing:
            return start_child(module)
        popen, sock = start_child(missing.pop())
        popen.wait(20)
        return popen, sock

    monkeypatch.setattr("hailo_common.engine.session.start_child", start)

    async def main() -> None:
        async with make_engine(ready=False) as engine:
            async with asyncio.timeout(20):
                while not engine.state.ready:
                    await asyncio.sleep(0.01)
            assert engine.alive
            assert engine.state.last_exit == "the engine process ended: exit status 1"

    run(main)


def test_files_that_crash_the_library_are_given_up(make_engine: MakeEngine) -> None:
    async def main() -> None:
        async with make_engine(ready=False, load_error="crash", model_dir="/models/odd") as engine:
            with pytest.raises(errors.NotReady, match=r"/models/odd: .*SIGSEGV while it loaded"):
                await engine.until_ready(30)
            assert (engine.state.phase, engine.state.kind) == ("failed", "ModelError")

    run(main)


def test_files_that_nobody_thought_of_are_given_up(make_engine: MakeEngine) -> None:
    async def main() -> None:
        async with make_engine(ready=False, load_error="bug", model_dir="/models/odd") as engine:
            with pytest.raises(errors.NotReady, match=r"/models/odd: KeyError .*while it loaded"):
                await engine.until_ready(30)
            assert (engine.state.phase, engine.state.kind) == ("failed", "ModelError")

    run(main)
