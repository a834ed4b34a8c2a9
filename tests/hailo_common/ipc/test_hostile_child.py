"""Threat F2 of tests/threats.md: whatever a child sends, it ends of it, and its parent's loop goes on."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from hailo_common.engine import session
from hailo_common.engine.job import MOST_TEXT, Job
from hailo_common.engine.supervisor import EngineSupervisor
from hailo_common.ipc.child_process import ChildExitedError, ChildProcess
from tests.fakes import Order
from tests.hailo_common.ipc.liar import packets
from tests.limits import engine_spec

LIAR = "tests.hailo_common.ipc.liar"
NO_MESSAGE = (
    *("no JSON", "a list", "deep", "deep in a file", "long", "a file without the file", "a device as a file"),
    *("a file that may change", "surplus descriptors", "digits", "latin"),
)
NO_ENGINE = (
    *("nothing of it", "loaded is a text", "loaded lacks all", "failed is a text", "failed lacks all"),
    "odd stages",
)


def alone(body: Any) -> Any:
    """Run a coroutine; an exception in a callback of the loop fails the test."""
    seen: list[Any] = []

    async def main() -> Any:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: seen.append(context))
        return await asyncio.wait_for(body, 30)

    result = asyncio.run(main())
    assert not seen
    return result


def test_the_lies_are_sent() -> None:
    for lie in (*NO_MESSAGE, *NO_ENGINE, "flood"):
        assert list(packets(lie))


@pytest.mark.parametrize("lie", NO_MESSAGE)
def test_what_is_no_message_ends_the_child(lie: str) -> None:
    async def body() -> None:
        child = ChildProcess.spawn(LIAR)
        child.send({"options": {"lie": lie}})
        with pytest.raises(ChildExitedError, match="invalid message"):
            await child.receive()
        assert child._popen.returncode == -9

    alone(body())


def test_more_than_anybody_reads_ends_the_child() -> None:
    async def body() -> None:
        child = ChildProcess.spawn(LIAR)
        child.send({"options": {"lie": "flood"}})
        await child.activity()
        while not child.gone:
            await asyncio.sleep(0.01)
        assert len(child._received) <= 256
        assert "more than anybody reads" in await child.wait()

    alone(body())


@pytest.mark.parametrize("lie", [*NO_MESSAGE, *NO_ENGINE])
def test_an_engine_that_lies_is_replaced(lie: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "MODULE", LIAR)

    async def body() -> None:
        engine = EngineSupervisor(engine_spec("x:y", {"lie": lie}))
        engine.start()
        while not engine.state.restarts:
            await asyncio.sleep(0.02)
        assert engine.alive
        assert "invalid message" in engine.state.last_exit
        await engine.close()

    logging.disable(logging.CRITICAL)
    try:
        alone(body())
    finally:
        logging.disable(logging.NOTSET)


@pytest.mark.parametrize(
    "message",
    [
        {"texts": "abc"},
        {"texts": [5]},
        {"texts": ["x" * (MOST_TEXT + 1)]},
        {"result": 5},
        {"error": "x"},
        {"error": {}},
        {"started": []},
        {"started": {"prompt_tokens": 1}},
    ],
    ids=str,
)
def test_what_no_engine_says_of_a_job(message: dict[str, Any]) -> None:
    async def body() -> None:
        job = Job(Order(), (), "", True, 7)
        with pytest.raises((ValueError, KeyError, TypeError)):
            job.take({"job": 7, **message})

    alone(body())


def test_the_texts_of_a_job_are_bounded_together() -> None:
    async def body() -> None:
        job = Job(Order(), (), "", True, 7)
        for _ in range(8):
            job.take({"job": 7, "texts": ["x" * (MOST_TEXT // 8)]})
        with pytest.raises(ValueError, match="more text"):
            job.take({"job": 7, "texts": ["x"]})

    alone(body())
