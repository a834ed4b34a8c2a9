"""Images for tests: honest ones through Pillow, hostile ones byte by byte."""

from __future__ import annotations

import io
import random
import struct
import zlib
from typing import Any

from PIL import Image, features

# Pillow before 11.3 warns of a feature that it does not know.
HAS_AVIF = "avif" in features.modules and features.check("avif") is True
"""Pillow reads and writes it from 11.3 on."""
AVIF = ("AVIF",) if HAS_AVIF else ()
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, RGBA = 0, 2, 3, 6


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The image's file in this format."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def scene(width: int, height: int) -> Image.Image:
    """Four coloured quarters with a soft pattern over them: no two corners and no two rows alike."""
    image = Image.new("RGB", (width, height), (200, 30, 30))
    image.paste((30, 180, 40), (width // 2, 0, width, height // 2))
    image.paste((40, 40, 190), (0, height // 2, width // 2, height))
    image.paste((220, 210, 60), (width // 2, height // 2, width, height))
    slope = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    return Image.blend(image, slope, 0.15)


def photo(width: int, height: int, *, detail: float = 0.03) -> Image.Image:
    """The scene under noise of every scale. 12 MP at quality 88: 0.03 gives 1 MB, 0.2 gives 2.3 MB."""
    dice, image, scale = random.Random(1), scene(width, height), 256
    while scale >= 4:
        size = (max(1, width // scale), max(1, height // scale))
        noise = Image.frombytes("L", size, dice.randbytes(size[0] * size[1]))
        image = Image.blend(image, noise.convert("RGB").resize((width, height)), detail)
        scale //= 2
    return image


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    """One PNG chunk."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    width: int, height: int, *, depth: int = 8, colour: int = GREY, pixels: bytes = b"", extra: bytes = b""
) -> bytes:
    """A PNG from its compressed pixels, with `extra` chunks before them."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return PNG_SIGNATURE + head + extra + chunk(b"IDAT", pixels) + chunk(b"IEND")


def png_of(rows: list[bytes], width: int, **options: Any) -> bytes:
    """A PNG from its unfiltered rows."""
    return png(width, len(rows), pixels=zlib.compress(b"".join(b"\0" + row for row in rows)), **options)


def zeros(count: int) -> bytes:
    """`count` zero bytes as a zlib stream, at once and about a thousand times smaller."""
    size = 1 << 20
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(size)) + packer.flush(zlib.Z_FULL_FLUSH)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    rest = packer.compress(bytes(count % size)) + packer.flush()
    return b"\x78\xda" + block * (count // size) + rest + struct.pack(">HH", count % 65521, 1)


def blank_png(width: int, height: int, *, depth: int = 8, colour: int = GREY) -> bytes:
    """A real PNG of zeros of any size: a decompression bomb when large."""
    samples = {GREY: 1, RGB: 3, PALETTE: 1, RGBA: 4}[colour]
    row = 1 + (width * samples * depth + 7) // 8
    return png(width, height, depth=depth, colour=colour, pixels=zeros(row * height))


def blank_webp(width: int, height: int) -> bytes:
    """A whole lossless WebP in 34 bytes, whatever its size: five prefix codes of one symbol each."""
    bits, value = "000" + "1000" * 5, 0x2F | (width - 1) << 8 | (height - 1) << 22
    value |= int(bits[::-1], 2) << 40
    data = b"VP8L" + struct.pack("<I", 14) + value.to_bytes(14, "little")
    return b"RIFF" + struct.pack("<I", 4 + len(data)) + b"WEBP" + data


def many_scans(width: int, height: int, count: int) -> bytes:
    """A progressive JPEG whose last scan comes `count` times more."""
    data = encode(Image.new("L", (width, height), 90), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * count + data[-2:]


def with_exif(orientation: int) -> bytes:
    """EXIF data that says only this orientation; 65535 and the like included."""
    return (
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01" + struct.pack(">H", orientation) + bytes(6)
    )


def gif(
    width: int, height: int, *, frame: tuple[int, int, int, int] = (0, 0, 8, 8), extra: bytes = b""
) -> bytes:
    """A GIF with one frame of 8 x 8 pixels of data, whatever sizes it names."""
    screen = b"GIF89a" + struct.pack("<HH", width, height) + b"\x80\0\0" + b"\0\0\0\xff\xff\xff"
    pixels = encode(Image.new("1", (8, 8)), "GIF").partition(b"," + struct.pack("<HHHH", 0, 0, 8, 8))[2]
    return screen + extra + b"," + struct.pack("<HHHH", *frame) + pixels


def bmp(width: int, height: int, *, depth: int = 24, compression: int = 0) -> bytes:
    """A BMP with the pixels of 8 x 8, whatever size it names."""
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, depth, compression, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 192, 0, 0, 54) + head + bytes(192)


def tiff(changes: dict[int, int], *, more: int = 0, pad: int = 0) -> bytes:
    """A TIFF of 8 x 8 grey pixels, with tags changed and `more` tags that each hold `pad` bytes of the
    file.
    """
    tags = {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 8, 279: 64} | changes
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items())]
    entries += [struct.pack("<HHII", 40_000 + index, 7, max(4, pad), 8) for index in range(more)]
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    body = bytes(max(192, pad))
    return b"II*\0" + struct.pack("<I", 8 + len(body)) + body + directory


def boxed(*, size: tuple[int, int] = (64, 64), ispe: tuple[int, int] | None = None) -> bytes:
    """An AVIF whose boxes say that it has another size than its codec's header says."""
    data = encode(scene(*size), "AVIF")
    if ispe is None:
        return data
    at = data.index(b"ispe") + 8
    return data[:at] + struct.pack(">II", *ispe) + data[at + 8 :]
