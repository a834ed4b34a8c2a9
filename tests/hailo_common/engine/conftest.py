"""A supervisor over the fake engine."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from hailo_common.engine.session import EngineSpec
from hailo_common.engine.supervisor import EngineSupervisor

MakeEngine = Callable[..., AbstractAsyncContextManager[EngineSupervisor]]


@contextlib.asynccontextmanager
async def supervised(
    *, ready: bool = True, spec: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[EngineSupervisor]:
    """A started supervisor, ready unless told otherwise, closed at the end."""
    engine = EngineSupervisor(
        EngineSpec(service="test", factory="tests.fakes:make_engine", options=options, **(spec or {}))
    )
    engine.start()
    try:
        if ready:
            await engine.until_ready(20)
        yield engine
    finally:
        await engine.close()


@pytest.fixture
def make_engine() -> MakeEngine:
    """The factory of supervisors."""
    return supervised
