"""Several models in one service: who is loaded, who makes room, who waits and for how long."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import functools
import math
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from hailo_common.engine.place import MemoryBudget, ModelNeeds, Places
from hailo_common.engine.pool import EnginePool, ServedModel
from hailo_common.engine.supervisor import EngineSupervisor
from hailo_common.errors import Busy, NotReady, ServiceError
from hailo_common.web.health import pool_status
from tests.fakes import FakeResult, Order
from tests.hailo_common.engine.conftest import queue_of
from tests.limits import engine_spec

BUDGET = MemoryBudget(1000, "models_memory_mb")


@contextlib.asynccontextmanager
async def pooled(
    *models: dict[str, Any],
    budget: MemoryBudget = BUDGET,
    wait_s: float = 30.0,
    patience_s: float = 30.0,
    measure: Callable[[int], int] | None = None,
    queue_size: int = 8,
    **spec: Any,
) -> AsyncIterator[EnginePool]:
    """A started pool of models named a, b, c, each with its engine's options.

    `needs` of a model are its bytes (400 unless told otherwise), `chip`, `growth` and `keep` as they are.
    """
    places = Places(lambda: budget, wait_s=wait_s, patience_s=patience_s)
    served = []
    for name, options in zip("abc", models, strict=False):
        needs = ModelNeeds(
            options.pop("needs", 400), growth=options.pop("growth", 0), chip=options.pop("chip", False)
        )
        keep = options.pop("keep", math.inf)
        place = places.make(name, functools.partial(ModelNeeds, **vars(needs)))
        engine = EngineSupervisor(engine_spec("tests.fakes:make_engine", options, **spec), place=place)
        served.append(ServedModel(name, engine, queue_of(engine, size=queue_size), place, keep))
    pool = EnginePool(served, places, measure or (lambda _pid: 0))
    pool.start()
    try:
        yield pool
    finally:
        await pool.close()


async def ask(pool: EnginePool, number: int, **order: Any) -> dict[str, Any]:
    """One request of the model of that number, as the HTTP layer makes it."""
    model = pool.models[number]
    pool.check()
    with pool.enter(model):
        return (await model.queue.result(Order({"steps": 1, **order}), (), FakeResult)).to_json()


async def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def states(pool: EnginePool) -> str:
    """The state of every model, by its first letter: loaded, loading (+), not loaded, failed."""
    letters = {"loaded": "l", "loading": "+", "not loaded": "n", "failed": "f"}
    return "".join(letters[each.state] for each in pool.models)


def run(main: Callable[[], Awaitable[None]]) -> None:
    """Run a test with a deadline of its own."""

    async def limited() -> None:
        async with asyncio.timeout(60):
            await main()

    asyncio.run(limited())


def test_the_first_model_is_loaded_at_the_start_and_the_others_on_demand() -> None:
    async def main() -> None:
        async with pooled({}, {}) as pool:
            before = pool.admits, pool_status(pool)
            await until(lambda: states(pool) == "ln")
            assert (before, pool.admits) == ((False, "degraded"), True)
            assert (await ask(pool, 1))["completion_tokens"] == 1
            assert states(pool) == "ll"
            assert pool_status(pool) == "healthy"
            pids = [each.engine.state.pid for each in pool.models]
            for number in (0, 1, 0, 1):
                assert (await ask(pool, number))["pid"] == pids[number]

    run(main)


def test_the_longest_unused_makes_room() -> None:
    async def main() -> None:
        async with pooled({}, {}, {}) as pool:
            for number in (0, 1):
                await ask(pool, number)
            assert states(pool) == "lln"
            await ask(pool, 0)
            await ask(pool, 2)
            assert states(pool) == "lnl"
            assert "it made room for c" in pool.models[1].reason
            await ask(pool, 1)
            assert states(pool) == "nll"
            assert [each.unloads for each in pool.models] == [1, 1, 0]
            assert [each.loads for each in pool.models] == [1, 2, 1]
            assert pool.places is not None
            assert pool.places.used == 800

    run(main)


def test_two_that_never_fit_together_take_turns(tmp_path: Path) -> None:
    mark = tmp_path / "closed"

    async def main() -> None:
        async with pooled({"needs": 700, "closed_mark": str(mark)}, {"needs": 700}) as pool:
            for _ in range(3):
                for number in (0, 1):
                    assert (await ask(pool, number))["completion_tokens"] == 1
                    assert states(pool) == ("ln", "nl")[number]
            # Ended in good order every time.
            assert mark.read_text() == "closed\n" * 3
            assert [each.engine.state.restarts for each in pool.models] == [0, 0]

    run(main)


def test_a_model_at_work_is_unloaded_after_its_request() -> None:
    async def main() -> None:
        async with pooled({"needs": 700}, {"needs": 700}, patience_s=0.0) as pool:
            await ask(pool, 0)
            long = asyncio.create_task(ask(pool, 0, steps=20, step_s=0.05))
            await until(lambda: pool.models[0].queue.running == 1)
            # One more waits behind it: it finds its model gone, and loads it again.
            behind = asyncio.create_task(ask(pool, 0))
            await asyncio.sleep(0.1)
            other = asyncio.create_task(ask(pool, 1))
            assert (await long)["completion_tokens"] == 20
            assert (await other)["completion_tokens"] == 1
            assert (await behind)["completion_tokens"] == 1
            assert (pool.models[0].loads, pool.models[1].loads) == (2, 1)
            assert pool.models[0].queue.interrupted == 0

    run(main)


def test_loads_that_outlast_patience_still_lead_to_answers() -> None:
    """Two busy models with one place would otherwise unload each other before either had said a word."""

    async def main() -> None:
        slow = {"needs": 700, "load_s": 0.4}
        async with pooled(dict(slow), dict(slow), patience_s=0.05, queue_size=20) as pool:
            asked = [asyncio.create_task(ask(pool, number % 2, steps=2, step_s=0.02)) for number in range(16)]
            answers = await asyncio.gather(*asked)
            assert {answer["completion_tokens"] for answer in answers} == {2}
            assert sum(each.loads for each in pool.models) <= 16

    run(main)


def test_while_there_is_patience_a_busy_model_keeps_its_place() -> None:
    async def main() -> None:
        async with pooled({"needs": 700}, {"needs": 700}, patience_s=60.0) as pool:
            await ask(pool, 0)
            busy = [asyncio.create_task(ask(pool, 0, steps=4, step_s=0.05)) for _ in range(4)]
            await until(lambda: pool.models[0].queue.running == 1)
            other = asyncio.create_task(ask(pool, 1))
            await asyncio.gather(*busy)
            assert not other.done()
            assert pool.models[0].loads == 1
            await other

    run(main)


def test_a_model_that_can_never_fit_is_refused_with_numbers_and_the_others_go_on() -> None:
    async def main() -> None:
        budget = MemoryBudget(900_000_000, "models_memory_mb")
        async with pooled({"needs": 1}, {"needs": 1_234_000_000}, budget=budget) as pool:
            with pytest.raises(NotReady) as caught:
                await ask(pool, 1)
            assert caught.value.code == "model_too_large"
            for part in ("about 1,234 MB", "900 MB together", "models_memory_mb"):
                assert part in caught.value.message
            assert states(pool)[1] == "f"
            assert pool_status(pool) == "degraded"
            assert pool.models[1].engine.state.restarts == 0
            await ask(pool, 0)
            # It says so every time, at once, and does not try by itself meanwhile.
            await until(lambda: pool.models[1].engine.state.phase == "unloaded")
            with pytest.raises(NotReady, match="about 1,234 MB"):
                await ask(pool, 1)
            assert states(pool) == "lf"

    run(main)


def test_one_that_gets_no_room_in_time_is_told_who_has_it() -> None:
    async def main() -> None:
        async with pooled({"needs": 700}, {"needs": 700}, wait_s=0.5, patience_s=60.0) as pool:
            await ask(pool, 0)
            long = asyncio.create_task(ask(pool, 0, steps=40, step_s=0.05))
            await until(lambda: pool.models[0].queue.running == 1)
            began = time.monotonic()
            with pytest.raises(NotReady, match=r"in use for 0.5 s \(by a\)") as caught:
                await ask(pool, 1)
            assert caught.value.code == "models_busy"
            assert time.monotonic() - began < 5
            assert (await long)["completion_tokens"] == 40
            # What was refused for want of room is there again at the next request.
            await until(lambda: pool.models[1].engine.state.admits)
            assert (await ask(pool, 1))["completion_tokens"] == 1

    run(main)


def test_the_chip_has_one_place() -> None:
    async def main() -> None:
        chip = {"needs": 10, "chip": True, "backend": "HailoRT (NPU)"}
        async with pooled(dict(chip), dict(chip), {"needs": 10}) as pool:
            pool.models[2].place.used_at = -1.0  # type: ignore[union-attr]
            await ask(pool, 0)
            await ask(pool, 2)
            await ask(pool, 1)
            # Room was made on the chip alone, whoever was used longest ago.
            assert states(pool) == "nll"

    run(main)


def test_a_model_that_ran_on_the_cpu_after_all_leaves_the_chip_free() -> None:
    async def main() -> None:
        async with pooled(
            {"needs": 10, "chip": True}, {"needs": 10, "chip": True, "backend": "HailoRT (NPU)"}
        ) as pool:
            await ask(pool, 0)
            await ask(pool, 1)
            assert states(pool) == "ll"

    run(main)


def test_a_model_stays_as_long_as_it_is_told_to() -> None:
    async def main() -> None:
        async with pooled({"keep": 0.3}, {"keep": 0.0}, {}) as pool:
            assert (await ask(pool, 2))["completion_tokens"] == 1
            await until(lambda: states(pool) == "nnl")
            assert "it was idle for 0.3 s" in pool.models[0].reason
            await asyncio.gather(*(ask(pool, 1) for _ in range(3)))
            # All that waited were answered by one load.
            assert pool.models[1].loads == 1
            await until(lambda: pool.models[1].engine.state.pid is None)
            pool.keep(pool.models[2], 0)
            await until(lambda: states(pool) == "nnn")
            pool.keep(pool.models[0], math.inf)
            await ask(pool, 0)
            await asyncio.sleep(0.5)
            assert states(pool) == "lnn"

    run(main)


def test_the_one_model_of_a_service_goes_and_comes_as_a_request_says() -> None:
    async def main() -> None:
        engine = EngineSupervisor(engine_spec("tests.fakes:make_engine", {}))
        pool = EnginePool([ServedModel("", engine, queue_of(engine))])
        pool.start()
        try:
            await engine.until_ready(20)
            first = (await ask(pool, 0))["pid"]
            pool.keep(pool.default, 0)
            await until(lambda: engine.state.phase == "unloaded")
            assert pool.admits
            assert (await ask(pool, 0))["pid"] != first
            await until(lambda: engine.state.phase == "unloaded")
        finally:
            await pool.close()

    run(main)


def test_a_default_that_can_never_fit_leaves_the_service_ready_for_the_others() -> None:
    async def main() -> None:
        async with pooled({"needs": 2000}, {}) as pool:
            await until(lambda: pool.admits)
            assert (await ask(pool, 1))["completion_tokens"] == 1
            with pytest.raises(NotReady, match="models_memory_mb"):
                await ask(pool, 0)
            assert states(pool) == "fl"

    run(main)


def test_a_default_that_is_never_kept_is_not_loaded_at_the_start() -> None:
    async def main() -> None:
        async with pooled({"keep": 0.0}, {}) as pool:
            assert pool.admits
            assert states(pool) == "nn"
            assert (await ask(pool, 0))["completion_tokens"] == 1

    run(main)


def test_a_model_that_does_not_load_stops_no_other(tmp_path: Path) -> None:
    healed = tmp_path / "healed"

    async def main() -> None:
        broken = {"load_error": "missing", "healed": str(healed), "needs": 700}
        async with pooled({"needs": 700}, broken, {"needs": 10, "load_error": "corrupt"}) as pool:
            await ask(pool, 0)
            for number, reason in ((1, "a missing model"), (2, "a corrupt model")):
                with pytest.raises(NotReady, match=reason):
                    await ask(pool, number)
                assert states(pool)[number] == "f"
                assert reason in pool.models[number].reason
            assert (await ask(pool, 0))["completion_tokens"] == 1
            assert pool_status(pool) == "degraded"
            healed.touch()
            # It has no room of its own now, so only a request brings it back.
            await until(lambda: pool.models[1].engine.state.admits)
            assert (await ask(pool, 1))["completion_tokens"] == 1
            assert states(pool) == "nlf"

    run(main)


def test_a_model_that_failed_comes_back_by_itself_where_there_is_room(tmp_path: Path) -> None:
    healed = tmp_path / "healed"

    async def main() -> None:
        async with pooled({"load_error": "device", "healed": str(healed)}, {"load_error": "corrupt"}) as pool:
            await until(lambda: states(pool) == "fn")
            with pytest.raises(NotReady):
                await ask(pool, 1)
            assert pool_status(pool) == "unhealthy"
            healed.touch()
            await until(lambda: states(pool) == "lf")
            assert pool_status(pool) == "degraded"

    run(main)


def test_an_engine_that_dies_takes_only_its_own_request_along() -> None:
    async def main() -> None:
        async with pooled({}, {}) as pool:
            await ask(pool, 1)
            long = asyncio.create_task(ask(pool, 0, steps=20, step_s=0.05))
            with pytest.raises(Exception, match="engine stopped"):
                await ask(pool, 1, act="die")
            assert (await long)["completion_tokens"] == 20
            assert (await ask(pool, 1))["completion_tokens"] == 1
            assert [each.engine.state.restarts for each in pool.models] == [0, 1]

    run(main)


def test_a_request_that_is_cancelled_while_it_waits_for_room_leaves_all_as_it_was() -> None:
    async def main() -> None:
        async with pooled({"needs": 700}, {"needs": 700}, patience_s=60.0) as pool:
            await ask(pool, 0)
            long = asyncio.create_task(ask(pool, 0, steps=30, step_s=0.05))
            await until(lambda: pool.models[0].queue.running == 1)
            waiting = asyncio.create_task(ask(pool, 1))
            await until(lambda: states(pool) == "l+")
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await until(lambda: states(pool) == "ln")
            assert (pool.waiting, pool.running) == (0, 1)
            assert (await long)["completion_tokens"] == 30
            assert (pool.models[0].loads, pool.models[1].loads) == (1, 0)

    run(main)


def test_models_that_grew_too_large_together_lose_the_longest_unused() -> None:
    async def main() -> None:
        sizes: dict[int, int] = {}
        async with pooled({}, {}, measure=lambda pid: sizes.get(pid, 400)) as pool:
            for number in (0, 1):
                await ask(pool, number)
            pid = pool.models[1].engine.state.pid
            assert pid is not None
            sizes[pid] = 700
            await ask(pool, 1)
            await until(lambda: states(pool) == "nl")
            assert "together took more" in pool.models[0].reason
            # Too large for company, not for itself.
            sizes[pid] = 1100
            await ask(pool, 1)
            await ask(pool, 0)
            assert states(pool) == "ln"
            await ask(pool, 1)
            assert states(pool) == "nl"

    run(main)


def test_room_for_caches_is_kept_free() -> None:
    async def main() -> None:
        async with pooled({"growth": 200}, {}, measure=lambda _pid: 400) as pool:
            await ask(pool, 0)
            await ask(pool, 1)
            assert states(pool) == "ll"
            assert pool.places is not None
            assert pool.places.used == 1000

    run(main)


def test_retry_after_knows_how_long_a_load_takes() -> None:
    async def main() -> None:
        async with pooled({"load_s": 2.2}, {"load_s": 2.2}, queue_size=1) as pool:
            await until(lambda: states(pool) == "ln")
            waiting = [asyncio.create_task(ask(pool, 1)) for _ in range(2)]
            await until(lambda: pool.models[1].engine.state.loading_since is not None)
            with pytest.raises(Busy) as caught:
                await ask(pool, 1)
            seen = pool.models[0].engine.state.load_seconds
            assert seen > 2.2
            assert math.ceil(seen) - 1 <= (caught.value.retry_after or 0) <= math.ceil(seen)
            assert 0 < pool.load_ahead_s(pool.models[1]) < seen
            # The full queue of one model is none of the other's business.
            assert (await ask(pool, 0))["completion_tokens"] == 1
            await asyncio.gather(*waiting)
            assert pool.load_ahead_s(pool.models[1]) == 0

    run(main)


def test_where_every_queue_is_full_a_request_is_refused_before_its_body() -> None:
    async def main() -> None:
        async with pooled({}, {}, queue_size=1) as pool:
            await until(lambda: states(pool) == "ln")
            with contextlib.ExitStack() as stack:
                for model in pool.models * 2:
                    pool.check()
                    stack.enter_context(model.queue.admit())
                with pytest.raises(Busy, match="queues of 2"):
                    pool.check()
            pool.check()

    run(main)


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_is_asked_and_given_up_the_budget_holds_and_nobody_is_left(seed: int) -> None:
    dice = random.Random(seed)

    async def one(pool: EnginePool) -> str:
        await asyncio.sleep(dice.random() * 4)
        act = dice.choice(["", "", "", "", "", "", "", "raise", "die"])
        asked = asyncio.create_task(
            ask(pool, dice.randrange(3), steps=dice.randrange(1, 8), step_s=0.01, act=act)
        )
        if dice.random() < 0.2:
            asyncio.get_running_loop().call_later(dice.random(), asked.cancel)
        await asyncio.wait((asked,))
        if asked.cancelled():
            return "cancelled"
        error = asked.exception()
        assert error is None or isinstance(error, ServiceError), error
        return error.code if error else "answered"

    async def main() -> None:
        models: list[dict[str, Any]] = [
            {"needs": 400, "keep": 0.3},
            {"needs": 500, "keep": 0.0},
            {"needs": 600},
        ]
        async with pooled(*models, patience_s=0.2, queue_size=50) as pool:
            assert pool.places is not None
            tasks = [asyncio.create_task(one(pool)) for _ in range(40)]
            while not all(task.done() for task in tasks):
                assert pool.places.used <= BUDGET.memory
                await asyncio.sleep(0.005)
            ends = collections.Counter(task.result() for task in tasks)
            assert set(ends) <= {
                "answered",
                "cancelled",
                "inference_failed",
                "engine_lost",
                "model_not_ready",
            }
            assert ends["answered"] >= 10
            await until(lambda: (pool.running, pool.waiting) == (0, 0))
            assert [each.place and each.place.requests for each in pool.models] == [0, 0, 0]

    run(main)


def test_a_pool_that_stops_gives_everybody_an_answer() -> None:
    async def main() -> None:
        async with pooled({"needs": 700}, {"needs": 700}) as pool:
            await ask(pool, 0)
            long = asyncio.create_task(ask(pool, 0, steps=100, step_s=0.05))
            await until(lambda: pool.models[0].queue.running == 1)
            waiting = asyncio.create_task(ask(pool, 1))
            await until(lambda: states(pool) == "l+")
            pool.stop()
            with pytest.raises(NotReady, match="stopping"):
                await ask(pool, 0)
            pool.abandon()
        for task in (long, waiting):
            with pytest.raises(NotReady):
                await task
        assert [each.engine.state.phase for each in pool.models] == ["stopped", "stopped"]

    run(main)
