"""Real HEIC files show what they show elsewhere, whichever way they are stored; hostile ones are refused."""

from __future__ import annotations

import contextlib
import os
import random
import struct
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
from PIL import Image

from hailo_common.errors import BadRequest, ServiceError
from hailo_common.images.decoder import ImageDecoder
from hailo_common.images.limits import Format
from hailo_common.images.resize import ResizeSpec
from tests.hailo_common.images.conftest import Decode, cpu_seconds, resident_kb
from tests.hailo_common.images.heif.make import SAMPLES, grid, needs_codec, turned, with_box, with_size
from tests.hailo_common.images.make import encode, scene
from tests.hailo_common.images.test_formats import difference
from tests.hailo_common.images.test_fuzz import mutants
from tests.limits import decode as decode_here
from tests.limits import image_limits

TARGET = ResizeSpec(32, 24)
SIZES = {
    "clear": (64, 48),
    "deep": (64, 48),
    "grey": (64, 48),
    "odd": (101, 75),
    "pieces": (240, 180),
    "turned": (160, 320),
}
"""As a viewer shows them."""


def _picture(name: str) -> Image.Image:
    """What a sample was made from."""
    if name == "turned":
        return scene(320, 160).transpose(Image.Transpose.TRANSPOSE)
    picture = scene(*SIZES[name])
    if name == "clear":
        picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    return picture.convert("L") if name == "grey" else picture


@needs_codec
@pytest.mark.parametrize(("name", "size"), SIZES.items())
def test_a_real_file_shows_its_picture(name: str, size: tuple[int, int], decode: Decode) -> None:
    found = decode_here(SAMPLES[name], TARGET)
    wanted = decode_here(encode(_picture(name), "PNG"), TARGET)
    assert found.format is Format.HEIC
    assert (found.original_width, found.original_height) == size
    assert difference(found.rgb, wanted.rgb) < 2.5
    assert decode(SAMPLES[name], TARGET).bytes == len(found.rgb), "behind the walls of the decoder, too"


@needs_codec
@pytest.mark.parametrize("sideways", [False, True])
@pytest.mark.parametrize("quarters", range(4))
def test_it_is_turned_and_mirrored_once(quarters: int, sideways: bool) -> None:
    """Its EXIF data ask for orientation 5 all the time, which the boxes have taken the place of."""
    picture = scene(320, 160).rotate(90 * quarters, expand=True)
    way = Image.Transpose.FLIP_LEFT_RIGHT if sideways else Image.Transpose.FLIP_TOP_BOTTOM
    wanted = decode_here(encode(picture.transpose(way), "PNG"), TARGET)
    found = decode_here(turned(quarters, sideways), TARGET)
    assert (found.original_width, found.original_height) == picture.size
    assert difference(found.rgb, wanted.rgb) < 2.5


@needs_codec
def test_colours_are_those_of_its_matrix() -> None:
    """BT.709 in the range of television, as libheif 1.23 shows the same bytes, within its rounding."""
    data = with_box(turned(0, True), b"nclx", struct.pack(">HB", 1, 0), skip=4)
    found = decode_here(data, ResizeSpec(320, 160, exact=True)).rgb
    shown = [found[3 * (320 * y + x) :][:3] for x, y in ((309, 10), (10, 10), (309, 150), (10, 150))]
    wanted = [(195, 29, 12), (5, 139, 21), (61, 71, 215), (244, 223, 80)]
    for one, other in zip(shown, wanted, strict=True):
        assert max(abs(a - b) for a, b in zip(one, other, strict=True)) <= 2


@needs_codec
def test_a_large_one_is_made_smaller_while_it_is_put_together(decode: Decode, decoder: ImageDecoder) -> None:
    """50 megapixels in pieces cost no more memory than eight, and less time than a request may take."""
    pid = decoder.supervisor.pid
    assert pid
    data = grid((8160, 6120), (16, 12), piece=(512, 512), of="large", same=False)
    before = cpu_seconds(pid)
    found = decode(data, ResizeSpec(fit="smart", max_pixels=28 * 28 * 1280))
    assert (found.original_width, found.original_height) == (8160, 6120)
    assert cpu_seconds(pid) - before < 2
    assert resident_kb(pid, "VmHWM") < 64 * 1024


@needs_codec
def test_equal_pieces_may_be_stored_once() -> None:
    found = decode_here(grid((256, 192), (4, 3)), ResizeSpec(256, 192, exact=True))
    row = 256 * 3
    assert found.rgb[: 64 * 3] == found.rgb[64 * 3 : 128 * 3] == found.rgb[64 * row : 64 * row + 64 * 3]


@needs_codec
def test_one_in_pieces_is_held_to_the_size_it_is_decoded_to() -> None:
    data, small = SAMPLES["pieces"], ResizeSpec(30, 20)
    limits = image_limits(max_pixels=12_000, max_jpeg_pixels=50_000)
    found, whole = decode_here(data, small, limits), decode_here(data, ResizeSpec(30, 20, exact=True))
    assert (found.original_width, found.original_height) == (240, 180)
    assert difference(found.rgb, whole.rgb) < 4
    refused = [
        (data, ResizeSpec(30, 20, exact=True), limits),
        (data, ResizeSpec(200, 150), limits),
        (data, small, image_limits(max_pixels=12_000, max_jpeg_pixels=0)),
        (turned(0, False), small, limits),
    ]
    for each, target, its in refused:
        with pytest.raises(BadRequest) as caught:
            decode_here(each, target, its)
        assert caught.value.code == "too_many_pixels"


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "C23 heic of 60000 x 60000": (lambda: with_size(SAMPLES["turned"], (60_000, 60_000)), "too_many_pixels"),
    "C23 heic that hides its size": (lambda: with_size(SAMPLES["turned"], (16, 16)), "invalid_image"),
    "C23 heic of a larger size than its frame": (
        lambda: with_size(SAMPLES["turned"], (1000, 900)),
        "invalid_image",
    ),
    "C23 heic without its meta box": (
        lambda: SAMPLES["odd"].replace(b"meta", b"free"),
        "unsupported_image_format",
    ),
    "C23 heic of another codec": (
        lambda: SAMPLES["odd"].replace(b"hvc1", b"vvc1"),
        "unsupported_image_format",
    ),
    "C23 heic without its codec's box": (lambda: SAMPLES["odd"].replace(b"hvcC", b"free"), "invalid_image"),
    "C23 heic cut": (lambda: SAMPLES["odd"][:-1], "image_truncated"),
    "C23 heic cut in its pieces": (lambda: SAMPLES["pieces"][:-400], "image_truncated"),
    "C23 heic of one piece all over": (lambda: grid((4096, 3072), (64, 48), [2] * 3072), "too_many_chunks"),
    "C23 heic of one item all over": (
        lambda: grid((1920, 1024), (30, 16), [2] * 480, pad=9_000),
        "invalid_image",
    ),
    "C23 heic of items in one place": (lambda: grid((1920, 1024), (30, 16), pad=4_000_000), "invalid_image"),
    "C23 heic of pieces that are missing": (lambda: grid((128, 128), (2, 2), [2, 3]), "invalid_image"),
    "C23 heic of pieces that are too small": (
        lambda: grid((64, 64), (2, 2), piece=(32, 32)),
        "invalid_image",
    ),
    "C23 heic of more pieces than it has room for": (
        lambda: grid((128, 64), (3, 2), same=False),
        "invalid_image",
    ),
    "C23 heic of fewer pieces than it needs": (lambda: grid((300, 128), (2, 2), same=False), "invalid_image"),
    "C23 heic cut to nothing": (
        lambda: with_box(SAMPLES["odd"], b"clap", struct.pack(">IIII", 0, 1, 0, 1)),
        "invalid_image",
    ),
    "C23 heic cut outside": (
        lambda: with_box(SAMPLES["odd"], b"clap", struct.pack(">IIIIiI", 101, 1, 75, 1, 90, 1)),
        "invalid_image",
    ),
    "C23 heic cut by parts of nothing": (
        lambda: with_box(SAMPLES["odd"], b"clap", struct.pack(">II", 101, 0)),
        "invalid_image",
    ),
}


@needs_codec
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_one_is_refused_within_a_second(name: str, decode: Decode, decoder: ImageDecoder) -> None:
    make, code = HOSTILE[name]
    data, pid = make(), decoder.supervisor.pid
    assert pid
    started = cpu_seconds(pid)
    with pytest.raises(BadRequest) as caught:
        decode(data)
    assert caught.value.code == code
    assert decoder.supervisor.pid == pid
    assert cpu_seconds(pid) - started < 1


@needs_codec
@pytest.mark.parametrize("name", SIZES)
def test_a_damaged_one_is_an_image_or_a_refusal(name: str, decode: Decode, decoder: ImageDecoder) -> None:
    """In the real decoder: a fault of the codec would end it."""
    pid, refused, slowest = decoder.supervisor.pid, 0, 0.0
    assert pid
    for data in mutants(SAMPLES[name], 100):
        before = cpu_seconds(pid)
        try:
            decode(data)
        except ServiceError as error:
            assert error.code != "image_decode_failed"  # noqa: PT017
            refused += 1
        slowest = max(slowest, cpu_seconds(pid) - before)
    assert decoder.supervisor.pid == pid
    assert slowest < 1
    assert 0 < refused < 200


@needs_codec
def test_damage_in_the_codecs_own_data_is_found(decode: Decode) -> None:
    dice, data = random.Random(3), bytearray(SAMPLES["turned"])
    start = data.index(b"mdat") + 300
    data[start : start + 200] = dice.randbytes(200)
    with pytest.raises(BadRequest) as caught:
        decode(bytes(data))
    assert caught.value.code in ("invalid_image", "image_truncated")


@needs_codec
def test_nothing_that_a_stranger_sends_is_complained_of_in_the_journal(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The codec itself prints "SPS error" for some of these."""
    data = SAMPLES["pieces"]
    start = data.index(b"hvcC")
    for at in range(start + 60, start + 130):
        with contextlib.suppress(ServiceError):
            decode_here(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :], TARGET)
    os.write(2, b"still here\n")
    assert capfd.readouterr().err == "still here\n"


def test_where_there_is_no_codec_the_refusal_names_the_package() -> None:
    program = (
        "import ctypes, sys\n"
        "class Library(ctypes.CDLL):\n"
        "    def __init__(self, name, *a, **k):\n"
        "        if str(name).startswith('libde265'): raise OSError(name)\n"
        "        super().__init__(name, *a, **k)\n"
        "ctypes.CDLL = Library\n"
        "from tests.limits import decode; from hailo_common.images.resize import ResizeSpec\n"
        "from hailo_common.errors import ServiceError\n"
        "try: decode(bytes.fromhex(sys.stdin.read()), ResizeSpec(8, 8))\n"
        "except ServiceError as error: print(error.code, error.message)"
    )
    command = [sys.executable, "-c", program]
    data = SAMPLES["odd"].hex()
    told = subprocess.run(command, input=data, capture_output=True, text=True, check=True).stdout
    assert told.startswith("unsupported_image_format")
    assert "libde265-0" in told
    assert "Most Compatible" in told


@needs_codec
def test_the_header_check_is_quick() -> None:
    data = grid((64 * 30, 64 * 32), (30, 32), same=False)
    started = time.process_time()
    for _ in range(3):
        with pytest.raises(BadRequest):
            decode_here(data, TARGET, image_limits(max_pixels=100, max_jpeg_pixels=0))
    assert time.process_time() - started < 1
