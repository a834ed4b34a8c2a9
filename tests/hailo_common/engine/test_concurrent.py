"""An engine that works on several requests at once: they join, leave, fail and end each by itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hailo_common import errors
from hailo_common.engine import supervisor
from hailo_common.engine.request_queue import RequestQueue
from hailo_common.engine.supervisor import EngineSupervisor
from tests.fakes import FakeResult, Order
from tests.hailo_common.engine.conftest import queue_of, result_of
from tests.hailo_common.engine.test_supervisor import submit, texts_of
from tests.limits import engine_spec


@contextlib.asynccontextmanager
async def concurrent(spec: dict[str, Any] | None = None, **options: Any) -> AsyncIterator[EngineSupervisor]:
    """A supervisor over an engine of two places, unless told otherwise."""
    engine = EngineSupervisor(engine_spec("tests.fakes:make_concurrent", options, **(spec or {})))
    engine.start()
    try:
        await engine.until_ready(20)
        yield engine
    finally:
        await engine.close()


def test_two_requests_come_on_together_and_the_second_joins_between_two_tokens() -> None:
    async def main() -> None:
        async with concurrent() as engine:
            first = submit(engine, {"steps": 60}, stream=True)
            told = await first.news()
            second = submit(engine, {"steps": 3}, stream=True)
            assert await texts_of(second) == ["0", "1", "2"]
            assert first.result is None
            assert told + await texts_of(first) == [str(number) for number in range(60)]

    asyncio.run(main())


def test_a_cancelled_request_leaves_the_other_undisturbed() -> None:
    async def main() -> None:
        async with concurrent() as engine:
            first, second = (submit(engine, {"steps": 40}, stream=True) for _ in range(2))
            await first.news()
            engine.cancel(first)
            assert len(await texts_of(second)) == 40
            assert (engine.state.restarts, first.result) == (0, None)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("act", "kind"), [("refuse", errors.InvalidParameter), ("raise", errors.EngineFailed)]
)
def test_an_error_is_that_of_one_request(act: str, kind: type[Exception]) -> None:
    async def main() -> None:
        async with concurrent() as engine:
            good = submit(engine, {"steps": 20}, stream=True)
            bad = submit(engine, {"act": act}, stream=True)
            with pytest.raises(kind):
                await texts_of(bad)
            assert len(await texts_of(good)) == 20
            assert engine.state.restarts == 0

    asyncio.run(main())


def test_a_dead_engine_fails_all_and_comes_back() -> None:
    async def main() -> None:
        async with concurrent() as engine:
            jobs = [submit(engine, {"steps": 500}, stream=True), submit(engine, {"act": "die"}, stream=True)]
            for job in jobs:
                with pytest.raises(errors.EngineLost):
                    await texts_of(job)
            await engine.until_ready(20)
            assert len(await texts_of(submit(engine, {"steps": 2}, stream=True))) == 2

    asyncio.run(main())


def test_a_lost_device_ends_the_engine_for_all() -> None:
    async def main() -> None:
        async with concurrent() as engine:
            other = submit(engine, {"steps": 500}, stream=True)
            lost = submit(engine, {"act": "lose"}, stream=True)
            with pytest.raises(errors.DeviceLost):
                await texts_of(lost)
            with pytest.raises(errors.EngineLost):
                await texts_of(other)
            await engine.until_ready(20)
            assert engine.state.device_losses == 1

    asyncio.run(main())


def test_an_overdue_request_is_dropped_and_the_other_goes_on() -> None:
    async def main() -> None:
        async with concurrent({"request_timeout_s": 0.5}, step_s=0.02) as engine:
            overdue = submit(engine, {"steps": 1000})
            await asyncio.sleep(0.3)
            other = submit(engine, {"steps": 15}, stream=True)
            with pytest.raises(errors.EngineTimeout):
                await overdue.news()
            assert len(await texts_of(other)) == 15
            assert engine.state.restarts == 0

    asyncio.run(main())


def test_an_engine_that_does_not_drop_what_is_overdue_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "CANCEL_GRACE_S", 0.3)

    async def main() -> None:
        async with concurrent({"request_timeout_s": 0.3}, stubborn_s=60) as engine:
            with pytest.raises(errors.EngineTimeout):
                await submit(engine, {"steps": 1000}).news()
            await asyncio.sleep(0.5)
            await engine.until_ready(20)
            assert engine.state.restarts == 1

    asyncio.run(main())


def test_the_queue_lets_in_as_many_as_the_engine_takes() -> None:
    async def main() -> None:
        async with concurrent(parallel=3) as engine:
            queue = queue_of(engine, size=1)
            jobs = [asyncio.create_task(result_of(queue, steps=60)) for _ in range(4)]
            await asyncio.sleep(0.2)
            assert (queue.running, queue.waiting) == (3, 1)
            with pytest.raises(errors.Busy):
                await result_of(queue)
            assert [made["completion_tokens"] for made in await asyncio.gather(*jobs)] == [60] * 4

    asyncio.run(main())


async def _background(queue: RequestQueue, steps: int) -> int:
    with queue.admit():
        run = queue.run(Order({"steps": steps}), (), FakeResult, background=True)
        async with contextlib.aclosing(run) as stream:
            await stream.begin()
            return (await stream.finish()).completion_tokens


def test_one_background_request_gives_way_to_one_that_waits_and_the_other_does_not() -> None:
    async def main() -> None:
        async with concurrent() as engine:
            queue = queue_of(engine)
            lasting = [asyncio.create_task(_background(queue, 80)) for _ in range(2)]
            await asyncio.sleep(0.2)
            assert (await result_of(queue, steps=2))["completion_tokens"] == 2
            assert queue.interrupted == 1
            assert await asyncio.gather(*lasting) == [80, 80]
            assert queue.interrupted == 1

    asyncio.run(main())
