"""The decoder process killed, stopped, starved or taken over: 422 for its image, and a new decoder."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time

import pytest

from hailo_common.errors import ServiceError, Undecodable
from hailo_common.images.decoder import ImageDecoder
from tests.hailo_common.images.conftest import PATIENT_S, SMALL, children_cpu_seconds, cpu_seconds
from tests.hailo_common.images.make import encode, scene
from tests.hailo_common.images.running import IMAGE, RESPAWN_S, SLOW, SLOW_LIMITS, with_decoder
from tests.limits import image_limits


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS])
def test_a_decoder_that_dies_over_an_image_answers_422_and_is_replaced(
    number: signal.Signals, caplog: pytest.LogCaptureFixture
) -> None:
    async def body(decoder: ImageDecoder) -> None:
        for round_ in range(1, 6):
            work = asyncio.create_task(decoder.decode(SLOW, SMALL))
            while not decoder.supervisor.busy:
                await asyncio.sleep(0.005)
            assert decoder.supervisor.pid
            os.kill(decoder.supervisor.pid, number)
            with pytest.raises(Undecodable) as caught:
                await work
            assert caught.value.code == "image_decode_failed"
            child = await decoder.supervisor.child()
            assert cpu_seconds(child.pid) < RESPAWN_S
            (await decoder.decode(IMAGE, SMALL)).close()
            assert decoder.restarts == round_

    with_decoder(body, limits=SLOW_LIMITS)
    fields = [record.__dict__["fields"] for record in caplog.records if record.levelno == logging.WARNING]
    assert fields == [{"evt": "decoder_killed", "sig": number.name}] * 5


def test_a_stopped_decoder_is_killed_at_the_deadline(caplog: pytest.LogCaptureFixture) -> None:
    async def body(decoder: ImageDecoder) -> None:
        for _ in range(2):
            assert decoder.supervisor.pid
            os.kill(decoder.supervisor.pid, signal.SIGSTOP)
            started = time.monotonic()
            with pytest.raises(Undecodable):
                await decoder.decode(IMAGE, SMALL)
            assert time.monotonic() - started >= 1.0
            (await decoder.decode(IMAGE, SMALL)).close()

    with_decoder(body, deadline_s=1.0)
    assert caplog.records[0].__dict__["fields"] == {
        "evt": "decoder_killed",
        "sig": "SIGKILL",
        "cause": "it outlasted its deadline",
    }


def test_a_scan_bomb_that_passes_every_check_is_killed_after_three_seconds() -> None:
    async def body(decoder: ImageDecoder) -> None:
        used = children_cpu_seconds()
        started = time.monotonic()
        with pytest.raises(Undecodable):
            await decoder.decode(SLOW, SMALL)
        assert time.monotonic() - started >= 3.0, "no image gets less than its deadline"
        decoder.deadline_s = PATIENT_S
        (await decoder.decode(IMAGE, SMALL)).close()
        assert decoder.restarts == 1, "the killed one is reaped, so its time counts"
        assert children_cpu_seconds() - used < 6.0

    with_decoder(body, limits=SLOW_LIMITS, deadline_s=3.0)


def test_a_decoder_that_dies_while_idle_costs_no_image() -> None:
    async def body(decoder: ImageDecoder) -> None:
        for pause in (0, 0.0005, 0.001, 0.002, 0.02):
            assert decoder.supervisor.pid
            os.kill(decoder.supervisor.pid, signal.SIGKILL)
            await asyncio.sleep(pause)
            (await decoder.decode(IMAGE, SMALL)).close()
        assert (decoder.decoded, decoder.refused, decoder.restarts) == (5, 0, 5)

    with_decoder(body)


def test_memory_over_the_limit_is_a_422_and_not_the_machine_s_problem() -> None:
    async def body(decoder: ImageDecoder) -> None:
        pid = decoder.supervisor.pid
        with pytest.raises(ServiceError) as caught:
            await decoder.decode(encode(scene(8000, 6000), "PNG"), SMALL)
        assert caught.value.code == "image_decode_failed"
        (await decoder.decode(IMAGE, SMALL)).close()
        assert decoder.supervisor.pid == pid

    with_decoder(
        body, limits=image_limits(max_pixels=100_000_000), module="tests.hailo_common.images.tight_child"
    )


@pytest.mark.parametrize("lie", ["size", "bytes", "seals", "original", "format", "no file", "garbage"])
def test_a_decoder_that_lies_is_killed_and_its_answer_thrown_away(lie: str) -> None:
    async def body(decoder: ImageDecoder) -> None:
        with pytest.raises(Undecodable):
            await decoder.decode(lie.encode(), SMALL)
        (await decoder.decode(b"honest", SMALL)).close()
        assert decoder.restarts == 1

    with_decoder(body, module="tests.hailo_common.images.lying_child")
