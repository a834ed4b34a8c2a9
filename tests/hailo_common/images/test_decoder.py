"""The decoder process at work: order, limits, cancelled callers, closing."""

from __future__ import annotations

import asyncio
import os

import pytest

from hailo_common.errors import BadRequest, ServiceError, Unavailable
from hailo_common.images.decoder import ImageDecoder
from hailo_common.images.resize import ResizeSpec
from tests.hailo_common.images.conftest import PATIENT_S, SMALL, resident_kb
from tests.hailo_common.images.running import IMAGE, LARGE, SLOW, SLOW_LIMITS, with_decoder
from tests.limits import image_limits


def test_the_image_lies_in_a_sealed_file_of_the_right_size() -> None:
    async def body(decoder: ImageDecoder) -> None:
        with await decoder.decode(memoryview(IMAGE), ResizeSpec(12, 8)) as image:
            assert (image.width, image.height) == (12, 8)
            assert (image.original_width, image.original_height) == (64, 48)
            assert (image.format.value, image.bytes) == ("JPEG", 288)
            assert len(os.pread(image.fd, 1000, 0)) == 288
            with pytest.raises(PermissionError):
                os.ftruncate(image.fd, 0)
        image.close()
        assert image.fd == -1

    with_decoder(body)


def test_cancelled_callers_leave_the_protocol_whole() -> None:
    async def body(decoder: ImageDecoder) -> None:
        for moment in range(20):
            tasks = [asyncio.create_task(decoder.decode(LARGE, ResizeSpec(100, 100))) for _ in range(3)]
            await asyncio.sleep(moment * 0.003)
            for task in tasks[:2]:
                task.cancel()
            with await tasks[2] as image:
                assert image.bytes == 30_000
            await asyncio.gather(*tasks[:2], return_exceptions=True)
            for task in tasks[:2]:
                if not task.cancelled():
                    task.result().close()
        assert decoder.restarts == 0

    with_decoder(body)


def test_images_come_out_in_the_order_they_came_in() -> None:
    async def body(decoder: ImageDecoder) -> None:
        done: list[int] = []

        async def one(number: int) -> None:
            data = LARGE if number % 3 == 0 else IMAGE
            (await decoder.decode(data, SMALL)).close()
            done.append(number)

        await asyncio.gather(*(one(number) for number in range(12)))
        assert done == list(range(12))

    with_decoder(body)


def test_a_decoder_that_cannot_start_is_unavailable_and_close_is_quick(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hailo_common.images.supervisor.READY_WITHIN_S", 0.5)

    async def main() -> None:
        decoder = ImageDecoder(image_limits(), module="tests.hailo_common.images.no_such_module")
        with pytest.raises(Unavailable) as caught:
            await decoder.start()
        assert caught.value.code == "decoder_unavailable"
        await decoder.close()
        await decoder.close()

    asyncio.run(main())


def test_closing_answers_who_waits() -> None:
    async def body(decoder: ImageDecoder) -> None:
        tasks = [asyncio.create_task(decoder.decode(SLOW, SMALL)) for _ in range(3)]
        await asyncio.sleep(0.05)
        await decoder.close()
        async with asyncio.timeout(PATIENT_S / 2):
            results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, ServiceError) for result in results)

    with_decoder(body, limits=SLOW_LIMITS)


def test_limits_are_enforced_before_the_child_sees_a_byte() -> None:
    async def body(decoder: ImageDecoder) -> None:
        for data, code in ((b"", "image_empty"), (bytes(2000), "image_too_large")):
            with pytest.raises(BadRequest) as caught:
                await decoder.decode(data, SMALL)
            assert caught.value.code == code

    with_decoder(body, limits=image_limits(max_bytes=1000))


def test_the_child_is_small_and_confined() -> None:
    async def body(decoder: ImageDecoder) -> None:
        pid = decoder.supervisor.pid
        assert pid
        with open(f"/proc/{pid}/limits") as file:  # noqa: PTH123
            limits = {line[:25].strip(): line[26:46].strip() for line in file}
        assert limits["Max address space"] == str(image_limits().memory_bytes)
        assert (limits["Max core file size"], limits["Max processes"]) == ("0", "0")
        assert limits["Max open files"] == "32"
        assert resident_kb(pid) < 40 * 1024

    with_decoder(body)
