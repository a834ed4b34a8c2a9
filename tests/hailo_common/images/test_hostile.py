"""Every hostile image through the real decoder process: the right answer, soon, and nothing grows."""

from __future__ import annotations

import contextlib
import io
import zlib

import pytest
from PIL import Image

from hailo_common import errors
from hailo_common.images.decoder import ImageDecoder
from hailo_common.images.limits import CODES, image_error
from tests.hailo_common.images.conftest import Decode, cpu_seconds, open_files, resident_kb
from tests.hailo_common.images.hostile import FILES
from tests.hailo_common.images.make import blank_webp, zeros
from tests.limits import image_limits

ANSWER_S = 1.0
KIND = {
    "image_too_large": errors.TooLarge,
    "image_decode_failed": errors.Undecodable,
}


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_image_gets_its_answer_within_a_second(
    name: str, decode: Decode, decoder: ImageDecoder
) -> None:
    make, code = FILES[name]
    data, pid = make(), decoder.supervisor.pid
    assert pid
    if code != "image_too_large":
        assert len(data) <= image_limits().max_bytes
    started = cpu_seconds(pid)
    if code is None:
        assert decode(data).bytes == 8 * 8 * 3
    else:
        with pytest.raises(errors.BadRequest) as caught:
            decode(data)
        assert caught.value.code == code
        assert type(caught.value) is KIND.get(code, errors.BadRequest)
    assert decoder.supervisor.pid == pid, "the decoder survives what it refuses"
    assert cpu_seconds(pid) - started < ANSWER_S


def test_the_parent_neither_grows_nor_leaks_descriptors(decode: Decode, decoder: ImageDecoder) -> None:
    data = [make() for make, _ in FILES.values()]
    before: tuple[int, int] = (0, 0)
    for _ in range(4):
        for each in data:
            with contextlib.suppress(errors.ServiceError):
                decode(each)
        before = before if any(before) else (resident_kb(), open_files())
    assert resident_kb() - before[0] < 8 * 1024
    assert open_files() == before[1]
    pid = decoder.supervisor.pid
    assert pid
    assert resident_kb(pid) < 64 * 1024, "the decoder gives its memory back"


def test_the_builders_make_real_bombs() -> None:
    assert zlib.decompress(zeros(5_000_001)) == bytes(5_000_001)
    assert len(blank_webp(16383, 10900)) == 34
    Image.MAX_IMAGE_PIXELS, limit = None, Image.MAX_IMAGE_PIXELS
    try:
        with Image.open(io.BytesIO(blank_webp(64, 48))) as image:
            assert image.convert("RGB").size == (64, 48)
    finally:
        Image.MAX_IMAGE_PIXELS = limit


@pytest.mark.parametrize("code", sorted(CODES))
def test_a_refusal_is_a_fixed_text_with_the_limits(code: str) -> None:
    error = image_error(code, image_limits())
    assert error.code in (code, "unsupported_image_format")
    assert error.cause == code
    assert error.message.endswith(".")
    assert "{" not in error.message


def test_an_unknown_code_is_a_failed_decoder() -> None:
    error = image_error("<script>", image_limits())
    assert (type(error), error.code) == (errors.Undecodable, "image_decode_failed")
