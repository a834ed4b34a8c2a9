"""Mutated and found images: an image or a ServiceError, nothing else, and never slow."""

from __future__ import annotations

import os
import random
import struct
import sysconfig
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from hailo_common.errors import ServiceError
from hailo_common.images.resize import ResizeSpec
from tests.hailo_common.images.make import HAS_AVIF, encode, scene, with_exif
from tests.limits import decode, image_limits

MUTANTS = int(os.environ.get("FUZZ_MUTANTS", "300"))
"""For each seed image, twice: as it came out and repaired."""
CORPUS_FILES = int(os.environ.get("FUZZ_CORPUS_FILES", "150"))
LIMITS = image_limits(max_pixels=250_000)
TARGET = ResizeSpec(8, 8)
SEEDS = {
    "jpeg": encode(scene(40, 30), "JPEG", exif=with_exif(6)),
    "progressive": encode(scene(40, 30), "JPEG", progressive=True),
    "cmyk": encode(scene(24, 24).convert("CMYK"), "JPEG"),
    "png": encode(scene(24, 16), "PNG", exif=with_exif(3)),
    "palette": encode(scene(24, 16).quantize(16), "PNG", transparency=3),
    "grey16": encode(Image.new("I;16", (16, 16), 3000), "PNG"),
    "apng": encode(scene(16, 16), "PNG", save_all=True, append_images=[Image.new("RGB", (16, 16))]),
    "webp": encode(scene(40, 30), "WEBP", exif=with_exif(8)),
    "lossless": encode(scene(24, 16).convert("RGBA"), "WEBP", lossless=True),
    "gif": encode(scene(40, 30).quantize(16), "GIF", transparency=3),
    "gif of frames": encode(scene(16, 16), "GIF", save_all=True, append_images=[Image.new("RGB", (16, 16))]),
    "bmp": encode(scene(24, 16), "BMP"),
    "bmp of a palette": encode(scene(24, 16).quantize(16), "BMP"),
    "tiff": encode(scene(24, 16), "TIFF"),
    "tiff lzw": encode(scene(24, 16), "TIFF", compression="tiff_lzw", tiffinfo={274: 6}),
    "tiff deflate": encode(scene(24, 16), "TIFF", compression="tiff_adobe_deflate"),
    "tiff fax": encode(scene(24, 16).convert("1"), "TIFF", compression="group4"),
    **({"avif": encode(scene(40, 30), "AVIF", exif=with_exif(6))} if HAS_AVIF else {}),
    "animated": encode(scene(16, 16), "WEBP", save_all=True, append_images=[Image.new("RGB", (16, 16))]),
}


def mutants(seed: bytes, count: int) -> Iterator[bytes]:
    """Files with bytes changed, taken out, doubled or swapped; the same ones in each run."""
    dice = random.Random(len(seed))
    for _ in range(count):
        data = bytearray(seed)
        for _ in range(dice.choice((1, 1, 2, 3, 8, 30))):
            at, length, change = dice.randrange(len(data)), dice.randrange(1, 12), dice.randrange(5)
            if change == 0:
                data[at] = dice.choice((0, 1, 0x7F, 0x80, 0xFF))
            elif change == 1:
                data[at] ^= 1 << dice.randrange(8)
            elif change == 2:
                data[at : at + length] = dice.randbytes(length)
            elif change == 3 and len(data) > 40:
                del data[at : at + length]
            else:
                data[at:at] = data[at : at + length]
        yield bytes(data)
        yield repaired(data)


def repaired(data: bytearray) -> bytes:
    """The same with right checksums (PNG) or length (WebP), so that damage gets past the first check."""
    if data.startswith(b"RIFF"):
        return bytes(data[:4]) + struct.pack("<I", len(data) - 8) + bytes(data[8:])
    position = 8
    while data.startswith(b"\x89PNG") and position + 12 <= len(data):
        end = position + 8 + int.from_bytes(data[position : position + 4])
        data[end : end + 4] = struct.pack(">I", zlib.crc32(data[position + 4 : end]))
        position = end + 4
    return bytes(data)


@pytest.mark.parametrize("name", SEEDS)
def test_a_mutant_is_an_image_or_a_refusal(name: str) -> None:
    decode(SEEDS[name], TARGET, LIMITS)
    slowest = refused = 0.0
    for data in mutants(SEEDS[name], MUTANTS):
        started = time.process_time()
        try:
            assert len(decode(data, TARGET, LIMITS).rgb) == 192
        except ServiceError:
            refused += 1
        slowest = max(slowest, time.process_time() - started)
    assert slowest < 1.0
    assert refused < 2 * MUTANTS, "some mutants must get past the header"


def corpus() -> list[Path]:
    """Images that packages of this machine happen to ship, broken ones included."""
    roots = [Path(sysconfig.get_path("purelib")), Path("/usr/share")]
    endings = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".ico", ".svg"}
    files = sorted(path for root in roots for path in root.rglob("*") if path.suffix.lower() in endings)
    return random.Random(1).sample(files, min(CORPUS_FILES, len(files)))


def test_found_images_are_images_or_refusals() -> None:
    for path in corpus():
        try:
            assert len(decode(path.read_bytes(), TARGET).rgb) == 192
        except ServiceError as error:
            assert error.code != "image_decode_failed", path  # noqa: PT017
        except OSError:
            continue
