"""What each format shows, what is told of files that are none, and how large a JPEG may be."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from PIL import Image

from hailo_common.errors import BadRequest
from hailo_common.images.decoder import ImageDecoder
from hailo_common.images.limits import Format
from hailo_common.images.resize import ResizeSpec
from hailo_common.images.sniff import sniff
from tests.hailo_common.images.conftest import Decode, resident_kb
from tests.hailo_common.images.make import AVIF, encode, many_scans, photo, scene, with_exif
from tests.limits import decode as decode_here
from tests.limits import image_limits

TARGET = ResizeSpec(64, 48)
OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("GIF", {}),
    ("BMP", {}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("TIFF", {"compression": "tiff_adobe_deflate"}),
    ("TIFF", {"compression": "packbits"}),
    ("TIFF", {"big_tiff": False, "strip_size": 64}),
    *((kind, {}) for kind in AVIF),
    ("JPEG", {}),
    ("PNG", {}),
    ("WEBP", {}),
]


def difference(one: bytes, other: bytes) -> float:
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / len(one)


@pytest.mark.parametrize(("kind", "options"), OPTIONS, ids=str)
def test_every_format_shows_the_same(kind: str, options: dict[str, Any]) -> None:
    wanted = decode_here(encode(scene(640, 480), "PNG"), TARGET)
    found = decode_here(encode(scene(640, 480), kind, **options), TARGET)
    assert found.format.value == kind
    assert (found.original_width, found.original_height) == (640, 480)
    assert difference(found.rgb, wanted.rgb) < 1


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", *AVIF])
def test_every_format_passes_the_real_decoder(kind: str, decode: Decode) -> None:
    assert decode(encode(scene(320, 240), kind), TARGET).bytes == 64 * 48 * 3


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK", "I;16"])
@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF"])
def test_every_mode_becomes_rgb(kind: str, mode: str) -> None:
    if (kind, mode) in {("BMP", "CMYK"), ("BMP", "I;16"), ("GIF", "CMYK"), ("GIF", "I;16")}:
        pytest.skip("the format has no such mode")
    image = Image.new("I;16", (32, 32), 200 << 8) if mode == "I;16" else scene(32, 32).convert(mode)
    found = decode_here(encode(image, kind), ResizeSpec(32, 32))
    wanted = Image.new("RGB", (32, 32), (200,) * 3) if mode == "I;16" else image.convert("RGB")
    assert difference(found.rgb, wanted.tobytes()) < (6 if (kind, mode) == ("GIF", "RGBA") else 2)


def test_sixteen_bits_of_either_order_are_scaled() -> None:
    for mode in ("I;16", "I;16B"):
        data = encode(Image.new("I", (16, 16), 200 << 8).convert(mode), "TIFF")
        assert set(decode_here(data, ResizeSpec(8, 8)).rgb) == {200}


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["TIFF", *AVIF])
def test_an_image_is_turned_as_its_tag_says(kind: str, turn: int) -> None:
    options: dict[str, Any] = {"tiffinfo": {274: turn}} if kind == "TIFF" else {"exif": with_exif(turn)}
    found = decode_here(encode(scene(320, 160), kind, **options), ResizeSpec(32, 32))
    wanted = decode_here(encode(scene(320, 160), "JPEG", exif=with_exif(turn)), ResizeSpec(32, 32))
    assert (found.original_width, found.original_height) == (wanted.original_width, wanted.original_height)
    assert difference(found.rgb, wanted.rgb) < 2


def test_of_an_animation_the_first_frame_is_shown() -> None:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "lime", "blue")]
    for kind in ("GIF", "TIFF", *AVIF):
        data = encode(frames[0], kind, save_all=True, append_images=frames[1:])
        red, green, blue = decode_here(data, ResizeSpec(8, 8)).rgb[:3]
        assert (red > 240, green < 12, blue < 12) == (True, True, True), kind


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"%PDF-1.7\n", "PDF"),
        (b"<svg xmlns=", "SVG"),
        (b'<?xml version="1.0"?>\n<!-- x --><svg>', "SVG"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\0\0\0\x18ftypmp42", "video"),
        (b"\0\0\0\x18ftypheic" + bytes(12), "Most Compatible"),
        (b"\0\0\0\x14ftypqt  ", "video"),
        (b"\x1a\x45\xdf\xa3webm", "video"),
        (b"ID3\x04", "sound"),
        (b"PK\x03\x04", "archive"),
        (b"8BPS\0\x01", "format that is not understood"),
        (b"\0\0\0\x0cJXL \r\n", "format that is not understood"),
        (b"II+\0\x08\0", "BigTIFF"),
        (b"https://example.org/a.jpg", "address"),
        (b'{"error": "not found"}', "JSON"),
        ("Grüße, this is no image.".encode(), "text"),
        (bytes(range(1, 200)), "no image of a known format"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_what_is_no_image_is_told_what_it_is(data: bytes, words: str) -> None:
    with pytest.raises(BadRequest) as caught:
        decode_here(data, TARGET)
    assert caught.value.code == "unsupported_image_format"
    assert words in caught.value.message


def test_brands_of_boxes_say_which_codec_it_is() -> None:
    def head(*brands: bytes) -> bytes:
        body = brands[0] + bytes(4) + b"".join(brands[1:])
        return (8 + len(body)).to_bytes(4, "big") + b"ftyp" + body

    assert sniff(head(b"mif1", b"avif", b"miaf")) is Format.AVIF
    assert sniff(head(b"mif1", b"heic")) is Format.HEIC
    assert sniff(head(b"heix", b"mif1")) is Format.HEIC
    assert sniff(head(b"avis", b"mif1")) is Format.AVIF
    assert sniff(head(b"isom", b"avif")) == "is_video"


@pytest.mark.skipif(not AVIF, reason="this Pillow makes no AVIF")
def test_where_pillow_is_older_an_avif_is_told_what_it_needs() -> None:
    """In a process of its own, in which the import fails as it does there."""
    program = (
        "import sys; sys.modules['PIL.AvifImagePlugin'] = None\n"
        "from tests.limits import decode; from hailo_common.images.resize import ResizeSpec\n"
        "from hailo_common.errors import ServiceError\n"
        "try: decode(bytes.fromhex(sys.stdin.read()), ResizeSpec(8, 8))\n"
        "except ServiceError as error: print(error.code, error.message)"
    )
    data = encode(scene(32, 32), "AVIF").hex()
    command = [sys.executable, "-c", program]
    told = subprocess.run(command, input=data, capture_output=True, text=True, check=True).stdout
    assert told.startswith("unsupported_image_format")
    assert "11.3" in told


LARGE = ResizeSpec(fit="smart", max_pixels=28 * 28 * 1280)


def test_a_jpeg_is_held_to_the_size_it_is_decoded_to() -> None:
    limits = image_limits(max_pixels=1_000_000, max_jpeg_pixels=12_000_000)
    small = ResizeSpec(fit="smart", max_pixels=28 * 28 * 200)
    data = encode(photo(3200, 2400), "JPEG")
    found = decode_here(data, small, limits)
    assert (found.original_width, found.original_height) == (3200, 2400)
    wanted = decode_here(data, small)
    assert found.rgb == wanted.rgb
    refused = [
        (encode(photo(3200, 2400), "JPEG", progressive=True), small, limits),
        (encode(photo(3200, 2400), "PNG"), small, limits),
        (data, ResizeSpec(fit="smart", max_pixels=28 * 28 * 5000), limits),
        (data, ResizeSpec(64, 48, exact=True), limits),
        (data, small, image_limits(max_pixels=1_000_000, max_jpeg_pixels=0)),
        (data, small, image_limits(max_pixels=1_000_000, max_jpeg_pixels=7_000_000)),
        (many_scans(3200, 2400, 5), small, limits),
    ]
    for each, target, its in refused:
        with pytest.raises(BadRequest) as caught:
            decode_here(each, target, its)
        assert caught.value.code == "too_many_pixels"


def test_a_jpeg_of_50_megapixels_costs_no_more_memory_than_one_of_eight(
    decode: Decode, decoder: ImageDecoder
) -> None:
    pid = decoder.supervisor.pid
    assert pid
    eight, fifty = (
        encode(photo(320, 240).resize(size), "JPEG", quality=40) for size in ((3264, 2448), (8160, 6120))
    )
    decode(eight, LARGE)
    decode(fifty, LARGE)
    assert resident_kb(pid) < 64 * 1024
