"""An image that comes again is not decoded again; what is kept stays within its bounds."""

from __future__ import annotations

import os

import pytest

from hailo_common.errors import ServiceError
from hailo_common.images.decoder import MAX_CACHED, EncodedImage, ImageDecoder
from hailo_common.images.resize import ResizeSpec
from tests.hailo_common.images.conftest import open_files
from tests.hailo_common.images.make import encode, scene
from tests.hailo_common.images.running import IMAGE, with_decoder

SIZE = ResizeSpec(12, 8)
BYTES = 12 * 8 * 3


async def pixels(decoder: ImageDecoder, data: bytes, target: ResizeSpec = SIZE) -> bytes:
    with await decoder.decode(data, target) as image:
        return os.pread(image.fd, image.bytes + 1, 0)


def test_the_second_time_the_decoder_is_not_asked() -> None:
    async def body(decoder: ImageDecoder) -> None:
        first = await pixels(decoder, IMAGE)
        assert await pixels(decoder, IMAGE) == first
        assert (decoder.decoded, decoder.cached) == (1, 1)
        assert len(await pixels(decoder, IMAGE, ResizeSpec(6, 4))) == 72
        assert decoder.decoded == 2

    with_decoder(body, cache_bytes=1000)


def test_the_oldest_goes_when_the_pixels_are_too_many() -> None:
    async def body(decoder: ImageDecoder) -> None:
        one, two, three = (encode(scene(64, 48 + number), "PNG") for number in range(3))
        for data in (one, two, one, three, one, two):
            await pixels(decoder, data)
        assert (decoder.decoded, decoder.cached) == (4, 2)

    with_decoder(body, cache_bytes=2 * BYTES)


@pytest.mark.parametrize("kept", [0, BYTES - 1])
def test_what_does_not_fit_is_not_kept(kept: int) -> None:
    async def body(decoder: ImageDecoder) -> None:
        for _ in range(2):
            await pixels(decoder, IMAGE)
        assert (decoder.decoded, decoder.cached) == (2, 0)

    with_decoder(body, cache_bytes=kept)


def test_their_files_are_no_more_than_allowed() -> None:
    async def body(decoder: ImageDecoder) -> None:
        before = open_files()
        for number in range(MAX_CACHED + 5):
            await pixels(decoder, encode(scene(20, 20 + number), "PNG"), ResizeSpec(1, 1))
        assert open_files() == before + MAX_CACHED

    with_decoder(body, cache_bytes=10**6)


def test_a_glance_is_not_kept_and_takes_no_place() -> None:
    async def body(decoder: ImageDecoder) -> None:
        await pixels(decoder, IMAGE)
        for _ in range(2):
            with EncodedImage(IMAGE) as upload, await decoder.glance(upload, ResizeSpec(6, 4)) as image:
                assert image.bytes == 72
        await pixels(decoder, IMAGE)
        assert (decoder.decoded, decoder.cached) == (3, 1)

    with_decoder(body, cache_bytes=BYTES)


def test_a_refused_image_is_refused_again() -> None:
    async def body(decoder: ImageDecoder) -> None:
        for _ in range(2):
            with pytest.raises(ServiceError):
                await decoder.decode(IMAGE[:50], SIZE)
        assert (decoder.refused, decoder.cached) == (2, 0)

    with_decoder(body, cache_bytes=10**6)
