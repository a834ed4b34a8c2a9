"""The queue in front of the engine: bounded, fair, honest about waiting."""

from __future__ import annotations

import asyncio

import pytest

from hailo_common.engine.request_queue import RequestQueue
from hailo_common.errors import Busy, NotReady
from tests.hailo_common.engine.conftest import MakeEngine, queue_of, result_of


def test_flood_gets_exactly_the_places_there_are(make_engine: MakeEngine) -> None:
    async def main() -> None:
        async with make_engine() as engine:
            queue = queue_of(engine, size=3)
            outcomes = await asyncio.gather(
                *(result_of(queue, steps=1, step_s=0.1) for _ in range(50)), return_exceptions=True
            )
            busy = [outcome for outcome in outcomes if isinstance(outcome, Busy)]
            assert len(busy) == 46
            assert queue.refused == 46
            assert all(error.retry_after and 1 <= error.retry_after <= 120 for error in busy)
            assert (queue.taken, queue.running, queue.waiting) == (0, 0, 0)

    asyncio.run(main())


def test_first_come_is_first_served(make_engine: MakeEngine) -> None:
    async def main() -> None:
        order: list[int] = []

        async def one(queue: RequestQueue, number: int) -> None:
            await result_of(queue, steps=1, step_s=0.01)
            order.append(number)

        async with make_engine() as engine:
            queue = queue_of(engine, size=10)
            await asyncio.gather(*(one(queue, number) for number in range(8)))
        assert order == list(range(8))

    asyncio.run(main())


def test_retry_after_follows_measured_seconds_and_never_passes_120(make_engine: MakeEngine) -> None:
    async def main() -> None:
        async with make_engine() as engine:
            queue = queue_of(engine, size=8)
            assert queue.retry_after == 1
            await result_of(queue, steps=1, step_s=0.6)
            queue.taken = 5
            assert queue.retry_after in (3, 4)
            queue.taken = 5000
            assert queue.retry_after == 120

    asyncio.run(main())


def test_a_cancelled_waiter_loses_its_place_and_the_rest_go_on(make_engine: MakeEngine) -> None:
    async def main() -> None:
        async with make_engine() as engine:
            queue = queue_of(engine, size=4)
            running = asyncio.create_task(result_of(queue, steps=1, step_s=0.3))
            gone = asyncio.create_task(result_of(queue, steps=1))
            last = asyncio.create_task(result_of(queue, steps=1))
            await asyncio.sleep(0.05)
            gone.cancel()
            await asyncio.sleep(0)
            assert queue.taken == 2
            assert (await running)["completion_tokens"] == (await last)["completion_tokens"] == 1

    asyncio.run(main())


def test_a_waiter_survives_the_crash_of_the_request_before_it(make_engine: MakeEngine) -> None:
    async def main() -> None:
        async with make_engine() as engine:
            queue = queue_of(engine, size=4)
            crash = asyncio.create_task(result_of(queue, act="die"))
            behind = asyncio.create_task(result_of(queue, steps=1))
            outcomes = await asyncio.gather(crash, behind, return_exceptions=True)
            assert type(outcomes[0]).__name__ == "EngineLost"
            assert isinstance(outcomes[1], dict)
            assert outcomes[1]["completion_tokens"] == 1

    asyncio.run(main())


def test_not_ready_and_stopping_are_refused_at_once(make_engine: MakeEngine) -> None:
    async def main() -> None:
        async with make_engine(ready=False, load_s=30) as engine:
            queue = queue_of(engine, size=1)
            with pytest.raises(NotReady, match="the model is loading"), queue.admit():
                pass
            queue.stopping = True
            with pytest.raises(NotReady, match="stopping"), queue.admit():
                pass

    asyncio.run(main())
