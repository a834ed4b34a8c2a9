"""Urgent requests before background ones: interrupted, run again, and told to the reader only once."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hailo_common.engine.request_queue import RequestQueue, ResumedStream
from hailo_common.engine.session import EngineSpec
from hailo_common.engine.supervisor import EngineSupervisor
from hailo_common.errors import QueueTimeout


@contextlib.asynccontextmanager
async def lane_of(**settings: Any) -> AsyncIterator[RequestQueue]:
    """A lane over the fake engine of conversations."""
    engine = EngineSupervisor(EngineSpec(service="test", factory="tests.fake_chat:make_engine", options={}))
    engine.start()
    try:
        await engine.until_ready(20)
        yield RequestQueue(engine, size=40, **settings)
    finally:
        await engine.close()


def request(text: str, **more: Any) -> dict[str, Any]:
    """A request of one message."""
    content = [{"type": "text", "text": text}]
    return {"messages": [{"role": "user", "content": content}], "max_tokens": 500, "seed": 1, **more}


async def answer(lane: RequestQueue, order: str, *, background: bool, stream: bool = True) -> tuple[str, str]:
    """The streamed text and the final one."""
    told, final = "", ""
    with lane.admit():
        run = lane.run(request(order), (), stream=stream, background=background)
        async with contextlib.aclosing(run) as batches:
            async for events in batches:
                for event in events:
                    told += event.get("text", "")
                    final = event["result"]["text"] if "result" in event else final
    return told, final


SLOW = '{"random": 20, "step_s": 0.05}'
QUICK = '{"count": 2}'


@pytest.mark.parametrize("stream", [True, False])
def test_a_image_interrupts_a_background_request_which_loses_nothing(stream: bool) -> None:
    async def main() -> None:
        async with lane_of() as lane:
            undisturbed = await answer(lane, SLOW, background=True)
            background = asyncio.create_task(answer(lane, SLOW, background=True, stream=stream))
            await asyncio.sleep(0.4)
            began = time.monotonic()
            await answer(lane, QUICK, background=False)
            assert time.monotonic() - began < 0.5
            assert not background.done()
            told, final = await background
            assert lane.interrupted == 1
            assert final == undisturbed[1]
            assert told == (final if stream else "")

    asyncio.run(main())


def test_urgent_requests_do_not_interrupt_each_other_and_pass_background_ones() -> None:
    async def main() -> None:
        order: list[str] = []

        async def one(lane: RequestQueue, name: str) -> None:
            await answer(lane, '{"count": 2, "step_s": 0.02}', background=name.startswith("b"))
            order.append(name)

        async with lane_of() as lane:
            names = ["u1", "b1", "b2", "u2", "u3"]
            await asyncio.gather(*(one(lane, name) for name in names))
            assert order == ["u1", "u2", "u3", "b1", "b2"]
            assert lane.interrupted == 0

    asyncio.run(main())


def test_an_old_background_request_is_neither_interrupted_nor_passed_over() -> None:
    async def main() -> None:
        order: list[str] = []

        async def one(lane: RequestQueue, name: str, text: str) -> None:
            await answer(lane, text, background=name.startswith("b"))
            order.append(name)

        async with lane_of(patience_s=0.2) as lane:
            tasks = [asyncio.create_task(one(lane, "b1", SLOW)), asyncio.create_task(one(lane, "b2", QUICK))]
            await asyncio.sleep(0.4)
            tasks += [asyncio.create_task(one(lane, "u1", QUICK))]
            await asyncio.gather(*tasks)
            assert order == ["b1", "b2", "u1"]
            assert lane.interrupted == 0

    asyncio.run(main())


def test_a_wait_has_a_deadline_and_leaves_the_queue_whole() -> None:
    async def main() -> None:
        async with lane_of(wait_s=0.2) as lane:
            first = asyncio.create_task(answer(lane, SLOW, background=False))
            await asyncio.sleep(0)
            with pytest.raises(QueueTimeout) as caught:
                await answer(lane, QUICK, background=False)
            assert caught.value.retry_after
            await first
            assert (await answer(lane, QUICK, background=False))[1] == "word word "
            assert (lane.taken, lane.running) == (0, 0)

    asyncio.run(main())


def test_a_reader_that_stops_reading_does_not_keep_the_engine() -> None:
    async def main() -> None:
        async with lane_of() as lane:
            slow_reader = lane.run(request('{"count": 50}'), (), stream=True)
            await anext(slow_reader)
            async with asyncio.timeout(5):
                assert (await answer(lane, QUICK, background=False))[1] == "word word "
            await slow_reader.aclose()

    asyncio.run(main())


def test_thirty_two_clients_are_answered_in_order() -> None:
    async def main() -> None:
        order: list[int] = []

        async def one(lane: RequestQueue, number: int) -> None:
            told, final = await answer(lane, f'{{"words": ["a{number}", "b"]}}', background=False)
            assert told == final == f"a{number}b"
            order.append(number)

        async with lane_of() as lane:
            await asyncio.gather(*(one(lane, number) for number in range(32)))
        assert order == list(range(32))

    asyncio.run(main())


def test_replay_leaves_out_what_was_told_across_borders() -> None:
    replay = ResumedStream()
    assert replay.fresh([{"started": 1}, {"text": "ab"}, {"text": "c"}]) == [
        {"started": 1},
        {"text": "ab"},
        {"text": "c"},
    ]
    replay.again()
    assert replay.fresh([{"started": 1}, {"text": "a"}, {"text": "bcd"}, {"text": "e"}]) == [
        {"text": "d"},
        {"text": "e"},
    ]
    replay.again()
    assert replay.fresh([{"text": "abcdef"}, {"result": {}}]) == [{"text": "f"}, {"result": {}}]
