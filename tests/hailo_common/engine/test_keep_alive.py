"""A model that is unloaded when nobody needs it, and loaded again for the next request."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from hailo_common.engine.supervisor import EngineSupervisor
from hailo_common.errors import NotReady
from hailo_common.web.health import health_status
from tests.hailo_common.engine.conftest import MakeEngine, queue_of, result_of

KEEP = {"keep_alive_s": 0.3, "beat_interval_s": 0.1}


async def until(engine: EngineSupervisor, phase: str, seconds: float = 30.0) -> None:
    """Wait for a phase."""
    deadline = time.monotonic() + seconds
    while engine.state.phase != phase:
        assert time.monotonic() < deadline, engine.state
        await asyncio.sleep(0.01)


async def answer(engine: EngineSupervisor) -> dict[str, Any]:
    """The result of one request through a queue."""
    return await result_of(queue_of(engine), steps=1)


def test_an_idle_engine_is_ended_in_order_and_made_again_on_demand(
    make_engine: MakeEngine, tmp_path: Path
) -> None:
    mark = tmp_path / "closed"

    async def main() -> None:
        async with make_engine(spec=KEEP, closed_mark=str(mark)) as engine:
            first = (await answer(engine))["pid"]
            await until(engine, "unloaded")
            state = engine.state
            assert (state.admits, state.ready, health_status(state)) == (True, False, "healthy")
            assert "it was idle for 0.3 s" in state.reason
            while state.pid is not None:
                await asyncio.sleep(0.01)
            assert mark.read_text() == "closed\n"
            assert state.info is not None
            assert state.info.model == "fake"
            assert (await answer(engine))["pid"] != first
            assert (state.restarts, state.failures) == (0, 0)

    asyncio.run(main())


def test_requests_keep_it_alive(make_engine: MakeEngine) -> None:
    async def main() -> None:
        async with make_engine(spec=KEEP) as engine:
            first = (await answer(engine))["pid"]
            for _ in range(12):
                await asyncio.sleep(0.1)
                assert (await answer(engine))["pid"] == first

    asyncio.run(main())


def test_all_that_come_while_it_loads_are_answered(make_engine: MakeEngine) -> None:
    async def main() -> None:
        async with make_engine(spec=KEEP, load_s=0.5) as engine:
            await until(engine, "unloaded")
            queue = queue_of(engine)

            async def ask() -> dict[str, Any]:
                return await result_of(queue, steps=1)

            first = asyncio.create_task(ask())
            await until(engine, "loading")
            assert engine.state.admits
            results = await asyncio.gather(first, ask(), ask())
            assert len({result["pid"] for result in results}) == 1

    asyncio.run(main())


def test_a_load_longer_than_a_request_may_take_is_waited_for(make_engine: MakeEngine) -> None:
    async def main() -> None:
        spec = {**KEEP, "request_timeout_s": 0.4, "load_timeout_s": 30.0}
        async with make_engine(spec=spec, load_s=1.0) as engine:
            await until(engine, "unloaded")
            assert (await answer(engine))["completion_tokens"] == 1

    asyncio.run(main())


def test_a_model_that_does_not_come_back_is_told(make_engine: MakeEngine, tmp_path: Path) -> None:
    healed = tmp_path / "healed"
    healed.touch()

    async def main() -> None:
        spec = {**KEEP, "request_timeout_s": 0.5}
        async with make_engine(spec=spec, load_error="device", healed=str(healed)) as engine:
            await until(engine, "unloaded")
            healed.unlink()
            with pytest.raises(NotReady, match="a device model") as caught:
                await answer(engine)
            assert caught.value.code == "device_lost"
            assert not engine.state.admits
            assert health_status(engine.state) == "unhealthy"
            healed.touch()
            await engine.until_ready(30)
            assert (await answer(engine))["completion_tokens"] == 1

    asyncio.run(main())


def test_a_service_that_stops_while_the_model_is_away(make_engine: MakeEngine) -> None:
    async def main() -> None:
        async with make_engine(spec=KEEP) as engine:
            await until(engine, "unloaded")
        assert engine.state.phase == "stopped"

    asyncio.run(main())
