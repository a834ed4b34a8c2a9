"""A picture that comes again is not decoded again; what is kept stays within its bounds."""

from __future__ import annotations

import os

import pytest

from hailo_common.errors import ServiceError
from hailo_common.images.cache import MOST
from hailo_common.images.decoder import PictureDecoder
from hailo_common.images.resize import Target
from tests.images.conftest import open_files
from tests.images.make import encode, scene
from tests.images.running import PICTURE, with_decoder

SIZE = Target(12, 8)
BYTES = 12 * 8 * 3


async def pixels(decoder: PictureDecoder, data: bytes, target: Target = SIZE) -> bytes:
    with await decoder.decode(data, target) as picture:
        return os.pread(picture.fd, picture.bytes + 1, 0)


def test_the_second_time_the_decoder_is_not_asked() -> None:
    async def body(decoder: PictureDecoder) -> None:
        first = await pixels(decoder, PICTURE)
        assert await pixels(decoder, PICTURE) == first
        assert (decoder.decoded, decoder.recent.found) == (1, 1)
        assert len(await pixels(decoder, PICTURE, Target(6, 4))) == 72
        assert decoder.decoded == 2

    with_decoder(body, kept_bytes=1000)


def test_the_oldest_goes_when_the_pixels_are_too_many() -> None:
    async def body(decoder: PictureDecoder) -> None:
        one, two, three = (encode(scene(64, 48 + number), "PNG") for number in range(3))
        for data in (one, two, one, three, one, two):
            await pixels(decoder, data)
        assert (decoder.decoded, decoder.recent.found) == (4, 2)

    with_decoder(body, kept_bytes=2 * BYTES)


@pytest.mark.parametrize("kept", [0, BYTES - 1])
def test_what_does_not_fit_is_not_kept(kept: int) -> None:
    async def body(decoder: PictureDecoder) -> None:
        for _ in range(2):
            await pixels(decoder, PICTURE)
        assert (decoder.decoded, decoder.recent.found) == (2, 0)

    with_decoder(body, kept_bytes=kept)


def test_their_files_are_no_more_than_allowed() -> None:
    async def body(decoder: PictureDecoder) -> None:
        before = open_files()
        for number in range(MOST + 5):
            await pixels(decoder, encode(scene(20, 20 + number), "PNG"), Target(1, 1))
        assert open_files() == before + MOST

    with_decoder(body, kept_bytes=10**6)


def test_a_refused_picture_is_refused_again() -> None:
    async def body(decoder: PictureDecoder) -> None:
        for _ in range(2):
            with pytest.raises(ServiceError):
                await decoder.decode(PICTURE[:50], SIZE)
        assert (decoder.refused, decoder.recent.found) == (2, 0)

    with_decoder(body, kept_bytes=10**6)
