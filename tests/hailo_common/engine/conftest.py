"""A supervisor over the fake engine."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from hailo_common.engine.request_queue import RequestQueue
from hailo_common.engine.supervisor import EngineSupervisor
from hailo_vision.config import VisionSettings
from tests.fakes import FakeResult, Order
from tests.limits import SETTINGS, engine_spec

MakeEngine = Callable[..., AbstractAsyncContextManager[EngineSupervisor]]


@contextlib.asynccontextmanager
async def supervised(
    *, ready: bool = True, spec: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[EngineSupervisor]:
    """A started supervisor, ready unless told otherwise, closed at the end."""
    engine = EngineSupervisor(engine_spec("tests.fakes:make_engine", options, **(spec or {})))
    engine.start()
    try:
        if ready:
            await engine.until_ready(20)
        yield engine
    finally:
        await engine.close()


def queue_of(
    engine: EngineSupervisor,
    *,
    size: int = 40,
    wait_s: float = SETTINGS.queue_timeout_s,
    patience_s: float = VisionSettings().background_patience_s,
) -> RequestQueue:
    """A queue with room and patience unless told otherwise."""
    return RequestQueue(engine, size=size, wait_s=wait_s, patience_s=patience_s)


async def result_of(queue: RequestQueue, **order: Any) -> dict[str, Any]:
    """One request as the HTTP layer makes it."""
    with queue.admit():
        return (await queue.result(Order(order), (), FakeResult)).to_json()


@pytest.fixture
def make_engine() -> MakeEngine:
    """The factory of supervisors."""
    return supervised
