"""Budget and disconnect, without a server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request

from hailo_common.web.body import until_disconnect
from hailo_common.web.limits import ByteBudget


def test_budget_is_first_come_first_served() -> None:
    async def run() -> list[str]:
        budget = ByteBudget(100)
        order: list[str] = []

        async def user(name: str, amount: int) -> None:
            held = await budget.take(amount)
            order.append(name)
            await asyncio.sleep(0)
            budget.give_back(held)

        await asyncio.gather(user("a", 60), user("b", 60), user("c", 10), user("d", 1000))
        assert budget.used == 0
        return order

    assert asyncio.run(run()) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("turns", range(4))
def test_a_cancelled_wait_keeps_nothing(turns: int) -> None:
    async def run() -> None:
        budget = ByteBudget(100)
        held = await budget.take(100)
        waiting = asyncio.create_task(budget.take(50))
        behind = asyncio.create_task(budget.take(60))
        await asyncio.sleep(0)
        if turns > 1:
            budget.give_back(held)
        for _ in range(turns % 2):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        if turns <= 1:
            budget.give_back(held)
        if not waiting.cancelled():
            budget.give_back(waiting.result())
        budget.give_back(await behind)
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
