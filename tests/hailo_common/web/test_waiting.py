"""Budget and disconnect, without a server."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request

from hailo_common.web.body import until_disconnect
from hailo_common.web.limits import ByteBudget


def test_bytes_are_granted_while_all_bodies_can_still_arrive_one_by_one() -> None:
    async def run() -> None:
        budget = ByteBudget(100)
        first, second = budget.open(80), budget.open(80)
        await budget.take(first, 40)
        # 20 more would leave 40 free, and neither of them could get its last bytes.
        waiting = asyncio.create_task(budget.take(second, 21))
        await budget.take(second, 20)
        await asyncio.sleep(0)
        assert not waiting.done()
        await budget.take(first, 40)
        budget.finish(first)
        await asyncio.sleep(0)
        assert not waiting.done()
        budget.close(first)
        await waiting
        assert budget.used == 41
        budget.close(second)
        budget.close(second)
        assert budget.used == 0

    asyncio.run(run())


def test_a_body_that_stalls_holds_what_it_sent() -> None:
    async def run() -> None:
        budget = ByteBudget(100)
        stalled = [budget.open(91) for _ in range(9)]
        for share in stalled:
            await budget.take(share, 1)
        other = budget.open(90)
        for _ in range(9):
            await budget.take(other, 10)
        assert budget.used == 99

    asyncio.run(run())


@pytest.mark.parametrize("seed", range(20))
def test_whatever_comes_every_body_arrives(seed: int) -> None:
    dice = random.Random(seed)

    async def body(budget: ByteBudget) -> None:
        left = dice.randrange(1, 130)
        share = budget.open(left + dice.randrange(40))
        try:
            while left > 0:
                amount = min(left, dice.randrange(1, 40))
                await budget.take(share, amount)
                left -= amount
                assert budget.used <= 100
                for _ in range(dice.randrange(4)):
                    await asyncio.sleep(0)
            budget.finish(share)
        finally:
            budget.close(share)

    async def run() -> None:
        budget = ByteBudget(100)
        tasks = [asyncio.create_task(body(budget)) for _ in range(30)]
        await asyncio.sleep(0)
        for task in tasks[::7]:
            task.cancel()
        async with asyncio.timeout(5):
            await asyncio.gather(*tasks, return_exceptions=True)
        assert budget.used == 0

    asyncio.run(run())


def request_of(messages: asyncio.Queue[dict[str, Any]]) -> Request:
    return Request({"type": "http"}, messages.get)


async def answer(value: int) -> int:
    await asyncio.sleep(0)
    return value


def test_work_that_ends() -> None:
    async def run() -> None:
        assert await until_disconnect(request_of(asyncio.Queue()), answer(3)) == 3
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())


def test_work_that_fails() -> None:
    async def fail() -> None:
        raise LookupError("x")

    async def run() -> None:
        with pytest.raises(LookupError):
            await until_disconnect(request_of(asyncio.Queue()), fail())
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())


@pytest.mark.parametrize("way", ["hang-up", "cancel"])
def test_work_that_nobody_waits_for(way: str) -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            ended.append("work")

    async def run() -> None:
        messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        task = asyncio.create_task(until_disconnect(request_of(messages), work()))
        await asyncio.sleep(0.01)
        messages.put_nowait({"type": "http.request"})
        if way == "cancel":
            task.cancel()
        else:
            messages.put_nowait({"type": "http.disconnect"})
        with pytest.raises(asyncio.CancelledError if way == "cancel" else ClientDisconnect):
            await task
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())
    assert ended == ["work"]


@pytest.mark.parametrize("turns", range(6))
@pytest.mark.parametrize("hang_up", range(6))
def test_client_and_work_may_end_in_the_same_turn(turns: int, hang_up: int) -> None:
    async def work() -> int:
        for _ in range(turns):
            await asyncio.sleep(0)
        return 3

    async def run() -> None:
        loop, told = asyncio.get_running_loop(), list[dict[str, Any]]()
        loop.set_exception_handler(lambda _, context: told.append(context))
        messages: asyncio.Queue[Any] = asyncio.Queue()
        task = asyncio.create_task(until_disconnect(request_of(messages), work()))
        for _ in range(hang_up):
            await asyncio.sleep(0)
        messages.put_nowait({"type": "http.disconnect"})
        (ended,) = await asyncio.gather(task, return_exceptions=True)
        assert ended == 3 or isinstance(ended, ClientDisconnect)
        for _ in range(3):
            await asyncio.sleep(0)
        assert told == []
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())
