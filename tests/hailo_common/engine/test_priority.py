"""Urgent requests before background ones: interrupted, run again, and told to the reader only once."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hailo_common.engine.request_queue import RequestQueue
from hailo_common.engine.stream import ResumedText
from hailo_common.engine.supervisor import EngineSupervisor
from hailo_common.errors import QueueTimeout
from hailo_common.systemd.record import request_id
from hailo_vision.protocol import VisionRequest, VisionResult
from tests.hailo_common.engine.conftest import queue_of
from tests.hailo_vision.talk import question, vision_request
from tests.limits import engine_spec


@contextlib.asynccontextmanager
async def queue_over_chat(**settings: Any) -> AsyncIterator[RequestQueue]:
    """A queue over the fake engine of conversations."""
    engine = EngineSupervisor(engine_spec("tests.fake_chat:make_engine", {}))
    engine.start()
    try:
        await engine.until_ready(20)
        yield queue_of(engine, **settings)
    finally:
        await engine.close()


def request(order: str) -> VisionRequest:
    """A request of one message."""
    return vision_request(question(order, max_tokens=500, seed=1))


async def answer(
    queue: RequestQueue, order: str, *, background: bool, stream: bool = True
) -> tuple[str, str]:
    """The streamed text and the final one."""
    said = ""
    with queue.admit():
        run = queue.run(request(order), (), VisionResult, stream=stream, background=background)
        async with contextlib.aclosing(run) as answered:
            await answered.begin()
            while texts := await answered.texts():
                said += "".join(texts)
    return said, answered.result.text


SLOW = '{"random": 20, "step_s": 0.05}'
QUICK = '{"count": 2}'


@pytest.mark.parametrize("stream", [True, False])
def test_an_image_interrupts_a_background_request_which_loses_nothing(stream: bool) -> None:
    async def main() -> None:
        async with queue_over_chat() as queue:
            undisturbed = await answer(queue, SLOW, background=True)
            background = asyncio.create_task(answer(queue, SLOW, background=True, stream=stream))
            await asyncio.sleep(0.4)
            began = time.monotonic()
            await answer(queue, QUICK, background=False)
            assert time.monotonic() - began < 0.5
            assert not background.done()
            told, final = await background
            assert queue.interrupted == 1
            assert final == undisturbed[1]
            assert told == (final if stream else "")

    asyncio.run(main())


def test_urgent_requests_do_not_interrupt_each_other_and_pass_background_ones() -> None:
    async def main() -> None:
        order: list[str] = []

        async def one(queue: RequestQueue, name: str) -> None:
            await answer(queue, '{"count": 2, "step_s": 0.02}', background=name.startswith("b"))
            order.append(name)

        async with queue_over_chat() as queue:
            names = ["u1", "b1", "b2", "u2", "u3"]
            await asyncio.gather(*(one(queue, name) for name in names))
            assert order == ["u1", "u2", "u3", "b1", "b2"]
            assert queue.interrupted == 0

    asyncio.run(main())


def test_an_old_background_request_is_neither_interrupted_nor_passed_over() -> None:
    async def main() -> None:
        order: list[str] = []

        async def one(queue: RequestQueue, name: str, text: str) -> None:
            await answer(queue, text, background=name.startswith("b"))
            order.append(name)

        async with queue_over_chat(patience_s=0.2) as queue:
            tasks = [
                asyncio.create_task(one(queue, "b1", SLOW)),
                asyncio.create_task(one(queue, "b2", QUICK)),
            ]
            await asyncio.sleep(0.4)
            tasks += [asyncio.create_task(one(queue, "u1", QUICK))]
            await asyncio.gather(*tasks)
            assert order == ["b1", "b2", "u1"]
            assert queue.interrupted == 0

    asyncio.run(main())


def test_a_wait_has_a_deadline_and_leaves_the_queue_whole() -> None:
    async def main() -> None:
        async with queue_over_chat(wait_s=0.2) as queue:
            first = asyncio.create_task(answer(queue, SLOW, background=False))
            await asyncio.sleep(0)
            with pytest.raises(QueueTimeout) as caught:
                await answer(queue, QUICK, background=False)
            assert caught.value.retry_after
            await first
            assert (await answer(queue, QUICK, background=False))[1] == "word word "
            assert (queue.taken, queue.running) == (0, 0)

    asyncio.run(main())


def test_a_reader_that_stops_reading_does_not_keep_the_engine() -> None:
    async def main() -> None:
        async with queue_over_chat() as queue:
            slow_reader = queue.run(request('{"count": 50}'), (), VisionResult, stream=True)
            await slow_reader.begin()
            async with asyncio.timeout(5):
                assert (await answer(queue, QUICK, background=False))[1] == "word word "
            await slow_reader.aclose()

    asyncio.run(main())


def test_thirty_two_clients_are_answered_in_order() -> None:
    async def main() -> None:
        order: list[int] = []

        async def one(queue: RequestQueue, number: int) -> None:
            told, final = await answer(queue, f'{{"words": ["a{number}", "b"]}}', background=False)
            assert told == final == f"a{number}b"
            order.append(number)

        async with queue_over_chat() as queue:
            await asyncio.gather(*(one(queue, number) for number in range(32)))
        assert order == list(range(32))

    asyncio.run(main())


def test_what_was_given_is_left_out_across_borders() -> None:
    resumed = ResumedText()
    assert resumed.fresh(["ab", "", "c"]) == ["ab", "c"]
    resumed.again()
    assert resumed.fresh(["a", "bcd", "e"]) == ["d", "e"]
    resumed.again()
    assert resumed.fresh(["abcdef"]) == ["f"]


def test_a_request_that_waits_has_a_place_by_its_id() -> None:
    async def named(queue: RequestQueue, name: str, order: str, *, background: bool = False) -> None:
        request_id.set(name)
        await answer(queue, order, background=background)

    async def main() -> None:
        async with queue_over_chat() as queue:
            await named(queue, "before", QUICK)
            first = asyncio.create_task(named(queue, "first", SLOW))
            await asyncio.sleep(0.2)
            waiting = [asyncio.create_task(named(queue, "last", QUICK, background=True))]
            waiting += [asyncio.create_task(named(queue, name, QUICK)) for name in ("next", "then")]
            await asyncio.sleep(0.1)
            places = {name: queue.place(name) for name in ("first", "next", "then", "last", "", "another")}
            ahead = {name: place.ahead for name, place in places.items() if place}
            assert ahead == {"next": 0, "then": 1, "last": 2}
            seconds = [place.seconds for place in places.values() if place]
            assert 0 < seconds[0] < seconds[1] < seconds[2]
            await asyncio.gather(first, *waiting)
            assert queue.place("last") is None

    asyncio.run(main())
