"""The decoder process itself: killed, stopped, slow, lying, cancelled: callers get answers, nothing leaks."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hailo_common.errors import BadRequest, ServiceError, Unavailable, Undecodable
from hailo_common.images.decoder import PictureDecoder
from hailo_common.images.limits import Limits
from hailo_common.images.target import Target
from tests.images.conftest import PATIENT_S, SMALL, cpu_seconds, open_files, resident_kb
from tests.images.make import encode, many_scans, photo, scene

PICTURE = encode(scene(64, 48), "JPEG")
LARGE = encode(photo(2000, 1500), "JPEG")
SLOW_LIMITS = Limits(max_scans=10**6, max_chunks=10**6)
SLOW = many_scans(4096, 4096, 60_000)
RESPAWN_S = 0.2
Body = Callable[[PictureDecoder], Awaitable[None]]


def with_decoder(
    body: Body, *, limits: Limits | None = None, deadline_s: float = PATIENT_S, **options: Any
) -> None:
    """Run `body` with a started decoder and look for leaks after it."""

    async def main() -> None:
        decoder = PictureDecoder(limits, deadline_s=deadline_s, **options)
        await decoder.start()
        try:
            await body(decoder)
        finally:
            await decoder.close()

    before = open_files()
    asyncio.run(main())
    assert open_files() == before


def test_the_picture_lies_in_a_sealed_file_of_the_right_size() -> None:
    async def body(decoder: PictureDecoder) -> None:
        with await decoder.decode(memoryview(PICTURE), Target(12, 8)) as picture:
            assert (picture.width, picture.height) == (12, 8)
            assert (picture.original_width, picture.original_height) == (64, 48)
            assert (picture.format.value, picture.bytes) == ("JPEG", 288)
            assert len(os.pread(picture.fd, 1000, 0)) == 288
            with pytest.raises(PermissionError):
                os.ftruncate(picture.fd, 0)
        picture.close()
        assert picture.fd == -1

    with_decoder(body)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS])
def test_a_decoder_that_dies_over_a_picture_answers_422_and_is_replaced(
    number: signal.Signals, caplog: pytest.LogCaptureFixture
) -> None:
    async def body(decoder: PictureDecoder) -> None:
        for round_ in range(1, 6):
            work = asyncio.create_task(decoder.decode(SLOW, SMALL))
            while not decoder.keeper.busy:
                await asyncio.sleep(0.005)
            assert decoder.keeper.pid
            os.kill(decoder.keeper.pid, number)
            with pytest.raises(Undecodable) as caught:
                await work
            assert caught.value.code == "image_decode_failed"
            child = await decoder.keeper.child()
            assert cpu_seconds(child.pid) < RESPAWN_S
            (await decoder.decode(PICTURE, SMALL)).close()
            assert decoder.restarts == round_

    with_decoder(body, limits=SLOW_LIMITS)
    fields = [record.__dict__["fields"] for record in caplog.records if record.levelno == logging.WARNING]
    assert fields == [{"evt": "decoder_killed", "sig": number.name}] * 5


def test_a_stopped_decoder_is_killed_at_the_deadline(caplog: pytest.LogCaptureFixture) -> None:
    async def body(decoder: PictureDecoder) -> None:
        for _ in range(2):
            assert decoder.keeper.pid
            os.kill(decoder.keeper.pid, signal.SIGSTOP)
            started = time.monotonic()
            with pytest.raises(Undecodable):
                await decoder.decode(PICTURE, SMALL)
            assert time.monotonic() - started >= 1.0
            (await decoder.decode(PICTURE, SMALL)).close()

    with_decoder(body, deadline_s=1.0)
    assert caplog.records[0].__dict__["fields"] == {
        "evt": "decoder_killed",
        "sig": "SIGKILL",
        "cause": "it outlasted its deadline",
    }


def test_a_scan_bomb_that_passes_every_check_is_killed_after_three_seconds() -> None:
    async def body(decoder: PictureDecoder) -> None:
        started = time.monotonic()
        with pytest.raises(Undecodable):
            await decoder.decode(SLOW, SMALL)
        assert 3.0 <= time.monotonic() - started < 6.0
        decoder.deadline_s = PATIENT_S
        (await decoder.decode(PICTURE, SMALL)).close()

    with_decoder(body, limits=SLOW_LIMITS, deadline_s=3.0)


def test_a_decoder_that_dies_while_idle_costs_no_picture() -> None:
    async def body(decoder: PictureDecoder) -> None:
        for pause in (0, 0.0005, 0.001, 0.002, 0.02):
            assert decoder.keeper.pid
            os.kill(decoder.keeper.pid, signal.SIGKILL)
            await asyncio.sleep(pause)
            (await decoder.decode(PICTURE, SMALL)).close()
        assert (decoder.decoded, decoder.refused, decoder.restarts) == (5, 0, 5)

    with_decoder(body)


def test_memory_over_the_limit_is_a_422_and_not_the_machine_s_problem() -> None:
    async def body(decoder: PictureDecoder) -> None:
        pid = decoder.keeper.pid
        with pytest.raises(ServiceError) as caught:
            await decoder.decode(encode(scene(8000, 6000), "PNG"), SMALL)
        assert caught.value.code == "image_decode_failed"
        (await decoder.decode(PICTURE, SMALL)).close()
        assert decoder.keeper.pid == pid

    with_decoder(body, limits=Limits(max_pixels=100_000_000), module="tests.images.tight_child")


def test_cancelled_callers_leave_the_protocol_whole() -> None:
    async def body(decoder: PictureDecoder) -> None:
        for moment in range(20):
            tasks = [asyncio.create_task(decoder.decode(LARGE, Target(100, 100))) for _ in range(3)]
            await asyncio.sleep(moment * 0.003)
            for task in tasks[:2]:
                task.cancel()
            with await tasks[2] as picture:
                assert picture.bytes == 30_000
            await asyncio.gather(*tasks[:2], return_exceptions=True)
            for task in tasks[:2]:
                if not task.cancelled():
                    task.result().close()
        assert decoder.restarts == 0

    with_decoder(body)


def test_pictures_come_out_in_the_order_they_came_in() -> None:
    async def body(decoder: PictureDecoder) -> None:
        done: list[int] = []

        async def one(number: int) -> None:
            data = LARGE if number % 3 == 0 else PICTURE
            (await decoder.decode(data, SMALL)).close()
            done.append(number)

        await asyncio.gather(*(one(number) for number in range(12)))
        assert done == list(range(12))

    with_decoder(body)


@pytest.mark.parametrize("lie", ["size", "bytes", "seals", "original", "format", "no file", "garbage"])
def test_a_decoder_that_lies_is_killed_and_its_answer_thrown_away(lie: str) -> None:
    async def body(decoder: PictureDecoder) -> None:
        with pytest.raises(Undecodable):
            await decoder.decode(lie.encode(), SMALL)
        (await decoder.decode(b"honest", SMALL)).close()
        assert decoder.restarts == 1

    with_decoder(body, module="tests.images.lying_child")


def test_a_decoder_that_cannot_start_is_unavailable_and_close_is_quick(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hailo_common.images.keeper.READY_WITHIN_S", 0.5)

    async def main() -> None:
        decoder = PictureDecoder(module="tests.images.no_such_module")
        with pytest.raises(Unavailable) as caught:
            await decoder.start()
        assert caught.value.code == "decoder_unavailable"
        await decoder.close()
        await decoder.close()

    asyncio.run(main())


def test_closing_answers_who_waits() -> None:
    async def body(decoder: PictureDecoder) -> None:
        tasks = [asyncio.create_task(decoder.decode(SLOW, SMALL)) for _ in range(3)]
        await asyncio.sleep(0.05)
        await decoder.close()
        async with asyncio.timeout(PATIENT_S / 2):
            results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, ServiceError) for result in results)

    with_decoder(body, limits=SLOW_LIMITS)


def test_limits_are_enforced_before_the_child_sees_a_byte() -> None:
    async def body(decoder: PictureDecoder) -> None:
        for data, code in ((b"", "image_empty"), (bytes(2000), "image_too_large")):
            with pytest.raises(BadRequest) as caught:
                await decoder.decode(data, SMALL)
            assert caught.value.code == code

    with_decoder(body, limits=Limits(max_bytes=1000))


def test_the_child_is_small_and_confined() -> None:
    async def body(decoder: PictureDecoder) -> None:
        pid = decoder.keeper.pid
        assert pid
        with open(f"/proc/{pid}/limits") as file:  # noqa: PTH123
            limits = {line[:25].strip(): line[26:46].strip() for line in file}
        assert limits["Max address space"] == str(Limits().memory_bytes)
        assert (limits["Max core file size"], limits["Max processes"]) == ("0", "0")
        assert limits["Max open files"] == "32"
        assert resident_kb(pid) < 40 * 1024

    with_decoder(body)
