"""Golden pixels for every mode: always three channels, transparent parts white, nothing clipped."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from PIL import Image

from hailo_common.images.resize import ResizeSpec
from tests.hailo_common.images.make import GREY, PALETTE, RGB, RGBA, chunk, encode, png_of
from tests.limits import decode

RED, WHITE = (255, 0, 0), (255, 255, 255)
SIZE = 16
FLAT = ResizeSpec(SIZE, SIZE, exact=True)


def colour_of(data: bytes, target: ResizeSpec = FLAT) -> tuple[int, ...]:
    """The middle pixel."""
    rgb = decode(data, target).rgb
    assert len(rgb) == SIZE * SIZE * 3
    middle = (SIZE * SIZE // 2 + SIZE // 2) * 3
    return tuple(rgb[middle : middle + 3])


def flat(mode: str, colour: Any, kind: str = "PNG", **options: Any) -> bytes:
    """An image of one colour."""
    return encode(Image.new(mode, (SIZE, SIZE), colour), kind, **options)


def raw(sample: bytes, *, depth: int = 16, colour: int = GREY, extra: bytes = b"") -> bytes:
    """A PNG whose every pixel is `sample`."""
    return png_of([sample * SIZE] * SIZE, SIZE, depth=depth, colour=colour, extra=extra)


def ycck(data: bytes) -> bytes:
    """The same file, its four channels declared as YCCK."""
    where = data.index(b"Adobe") + 11
    return data[:where] + b"\x02" + data[where + 1 :]


GOLDEN: dict[str, tuple[bytes, tuple[int, int, int], int]] = {
    "grey": (flat("L", 77), (77, 77, 77), 0),
    "grey jpeg": (flat("L", 77, "JPEG"), (77, 77, 77), 1),
    "one bit": (flat("1", 1), WHITE, 0),
    "one bit black": (flat("1", 0), (0, 0, 0), 0),
    "palette": (flat("P", 0, bits=8), (0, 0, 0), 0),
    "rgb": (flat("RGB", RED), RED, 0),
    "rgb jpeg": (flat("RGB", RED, "JPEG"), RED, 2),
    "rgb webp": (flat("RGB", RED, "WEBP", lossless=True), RED, 0),
    "rgba opaque": (flat("RGBA", (*RED, 255)), RED, 0),
    "rgba hidden red": (flat("RGBA", (*RED, 0)), WHITE, 0),
    "rgba half": (flat("RGBA", (*RED, 128)), (255, 127, 127), 1),
    "webp hidden red": (flat("RGBA", (*RED, 0), "WEBP", lossless=True, exact=True), WHITE, 0),
    "grey alpha": (flat("LA", (0, 0)), WHITE, 0),
    "grey alpha half": (flat("LA", (0, 128)), (127, 127, 127), 1),
    "16 bit 257": (raw(b"\x01\x01"), (1, 1, 1), 0),
    "16 bit 128": (raw(b"\x80\x00"), (128, 128, 128), 0),
    "16 bit white": (raw(b"\xff\xff"), WHITE, 0),
    "16 bit rgb": (raw(b"\xff\xff\x80\x00\x00\x00", colour=RGB), (255, 128, 0), 0),
    "16 bit rgba hidden": (raw(b"\xff\xff\0\0\0\0\0\0", colour=RGBA), WHITE, 0),
    "16 bit grey tRNS": (raw(b"\x80\x01", extra=chunk(b"tRNS", b"\x80\x01")), WHITE, 0),
    "16 bit grey other tRNS": (raw(b"\x80\x01", extra=chunk(b"tRNS", b"\x80\x02")), (128, 128, 128), 0),
    "16 bit rgb tRNS": (
        raw(b"\x80\x01\0\0\0\0", colour=RGB, extra=chunk(b"tRNS", b"\x80\x01\0\0\0\0")),
        WHITE,
        0,
    ),
    "grey tRNS": (raw(b"\x09", depth=8, extra=chunk(b"tRNS", b"\0\x09")), WHITE, 0),
    "rgb tRNS": (raw(bytes(RED), depth=8, colour=RGB, extra=chunk(b"tRNS", b"\0\xff\0\0\0\0")), WHITE, 0),
    "palette tRNS": (
        raw(b"\0", depth=8, colour=PALETTE, extra=chunk(b"PLTE", bytes(RED)) + chunk(b"tRNS", b"\0")),
        WHITE,
        0,
    ),
    "palette red": (raw(b"\0", depth=8, colour=PALETTE, extra=chunk(b"PLTE", bytes(RED))), RED, 0),
    "cmyk red": (flat("CMYK", (0, 255, 255, 0), "JPEG"), RED, 3),
    "cmyk black": (flat("CMYK", (0, 0, 0, 255), "JPEG"), (0, 0, 0), 3),
    "ycck red": (ycck(flat("CMYK", (76, 84, 255, 0), "JPEG", quality=100, subsampling=0)), RED, 4),
    "hostile icc": (flat("RGB", RED, icc_profile=b"\xff" * 5000), RED, 0),
    "hostile icc jpeg": (flat("RGB", RED, "JPEG", icc_profile=b"acsp" * 50_000), RED, 2),
    "hostile icc webp": (flat("RGB", RED, "WEBP", lossless=True, icc_profile=b"\0" * 5000), RED, 0),
}


@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize("exact", [True, False])
def test_golden_colour(name: str, exact: bool) -> None:
    data, expected, tolerance = GOLDEN[name]
    seen = colour_of(data, ResizeSpec(SIZE, SIZE, exact=exact))
    assert max(abs(a - b) for a, b in zip(seen, expected, strict=True)) <= tolerance, seen


def test_sixteen_bit_grey_keeps_its_order() -> None:
    rows = [b"".join(struct.pack(">H", 4096 * x) for x in range(16))] * 16
    rgb = decode(png_of(rows, 16, depth=16), FLAT).rgb
    assert list(rgb[: 16 * 3 : 3]) == [16 * x for x in range(16)]


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_only_the_first_frame_counts(kind: str) -> None:
    frames = [Image.new("RGB", (SIZE, SIZE), colour) for colour in (RED, "lime", "blue")]
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:], duration=40, lossless=True)
    assert colour_of(data) == RED
