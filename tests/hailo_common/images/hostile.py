"""The table of hostile images: name, file, expected code. `None` means harmless: it must decode.

A name begins with the threat's id in tests/threats.md (C1 to C19).
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from PIL import Image

from tests.hailo_common.images.make import (
    GREY,
    HAS_AVIF,
    PNG_SIGNATURE,
    RGBA,
    blank_png,
    blank_webp,
    bmp,
    boxed,
    chunk,
    encode,
    gif,
    many_scans,
    png,
    scene,
    tiff,
    zeros,
)
from tests.limits import image_limits

PIXELS, SIDE, SCANS, CHUNKS = (
    "too_many_pixels",
    "image_side_out_of_range",
    "too_many_scans",
    "too_many_chunks",
)
BAD, CUT, FORMAT = "invalid_image", "image_truncated", "unsupported_image_format"
_SCREEN = b"GIF89a" + struct.pack("<HH", 13_300, 13_300) + b"\x80\0\0\0\0\0\xff\xff\xff"
_TINY_GIF = _SCREEN + b",\0\0\0\0\x08\0\x08\0\0\x02\x03D\x01\0\0;"


def _with(extra: bytes) -> bytes:
    return png(8, 8, extra=extra, pixels=zeros(9 * 8))


def _idat_flood() -> bytes:
    return png(8, 8, pixels=zeros(250_000_000))


def _animated(kind: str) -> bytes:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "lime", "blue")]
    return encode(frames[0], kind, save_all=True, append_images=frames[1:], duration=40)


def _second_frame_header() -> bytes:
    data = encode(scene(32, 32), "JPEG")
    start = data.index(b"\xff\xc0")
    frame = bytearray(data[start : start + 19])
    frame[5:9] = struct.pack(">HH", 8000, 3000)
    return data[:start] + bytes(frame) + data[start:]


def _photoshop() -> bytes:
    data = b"Photoshop 3.0\0" + (b"8BIM" + bytes(8)) * 5_400
    return b"\xff\xed" + struct.pack(">H", len(data) + 2) + data


def _text(count: int, data: bytes) -> bytes:
    return chunk(b"tEXt", b"k\0" + data) * count


JPEG = encode(scene(32, 32), "JPEG")
FILES: dict[str, tuple[Callable[[], bytes], str | None]] = {
    "C1 png 50000x50000x1": (lambda: blank_png(50_000, 50_000, depth=1), PIXELS),
    "C2 png 13000x13000 rgba": (lambda: blank_png(13_000, 13_000, colour=RGBA), PIXELS),
    "C2 png 13000x13000x16": (lambda: blank_png(13_000, 13_000, depth=16), PIXELS),
    "C3 png 9400x9400": (lambda: blank_png(9_400, 9_400), PIXELS),
    "C4 png 178M x 1": (lambda: blank_png(178_000_000, 1), PIXELS),
    "C4 png 1 x 178M": (lambda: blank_png(1, 178_000_000), PIXELS),
    "C4 png 8193 x 2": (lambda: blank_png(8193, 2), SIDE),
    "C4 png 20M x 1": (lambda: blank_png(20_000_000, 1), SIDE),
    "C5 webp 16383x10900": (lambda: blank_webp(16383, 10900), PIXELS),
    "C6 gif 13300x13300": (lambda: _TINY_GIF, PIXELS),
    "C6 gif frame beyond its screen": (lambda: gif(8, 8, frame=(0, 0, 60_000, 60_000)), PIXELS),
    "C6 gif frame far away": (lambda: gif(8, 8, frame=(60_000, 60_000, 8, 8)), PIXELS),
    "C6 gif of empty extensions": (lambda: gif(8, 8, extra=b"!\xf9\0" * 3_000_000), CHUNKS),
    "C6 gif of some extensions": (lambda: gif(8, 8, extra=b"!\xfe\1a\0" * 50_000), None),
    "C6 gif of blocks of one byte": (lambda: gif(8, 8, extra=b"!\xfe" + b"\1a" * 5_000_000 + b"\0"), CHUNKS),
    "C6 gif without a frame": (lambda: gif(8, 8)[:13] + b";" * 20, BAD),
    "C20 bmp 60000x60000": (lambda: bmp(60_000, 60_000), PIXELS),
    "C20 bmp of negative width": (lambda: bmp(-8, 8), BAD),
    "C20 bmp upside down": (lambda: bmp(8, -8), None),
    "C20 bmp of run lengths 2900x2900": (lambda: bmp(2900, 2900, depth=8, compression=1), FORMAT),
    "C20 bmp of run lengths 990x990": (lambda: bmp(990, 990, depth=8, compression=1), BAD),
    "C20 bmp that holds a jpeg": (lambda: bmp(8, 8, compression=4), FORMAT),
    "C21 tiff 60000x60000": (lambda: tiff({256: 60_000, 257: 60_000}), PIXELS),
    "C21 tiff of a huge tile": (lambda: tiff({322: 65_536, 323: 65_536, 324: 8, 325: 192}), PIXELS),
    "C21 tiff of tiles of no width": (lambda: tiff({322: 0, 323: 16, 324: 8, 325: 192}), BAD),
    "C21 tiff of tags that are all the file": (lambda: tiff({}, more=300, pad=9_000_000), BAD),
    "C21 tiff of 600 tags": (lambda: tiff({}, more=600), CHUNKS),
    "C21 tiff of a tag of itself": (lambda: tiff({34665: 8}), None),
    "C21 tiff whose strip is elsewhere": (lambda: tiff({273: 10**9}), CUT),
    "C21 tiff that holds a jpeg": (lambda: tiff({259: 7}), FORMAT),
    "C21 tiff of 64 samples": (lambda: tiff({277: 64}), BAD),
    "C21 tiff of floats": (lambda: tiff({339: 3}), FORMAT),
    "C22 avif 60000x60000": (lambda: boxed(ispe=(60_000, 60_000)), PIXELS),
    "C22 avif that hides its size": (lambda: boxed(size=(2000, 2000), ispe=(8, 8)), BAD),
    "C22 avif without its meta box": (lambda: boxed().replace(b"meta", b"free"), BAD),
    "C22 avif of 100000 boxes": (lambda: boxed()[:32] + b"\0\0\0\x08free" * 100_000, CHUNKS),
    "C22 avif of a box of no size": (lambda: boxed() + b"\0\0\0\x04free", None),
    "C7 jpeg 67000 scans": (lambda: many_scans(4096, 4096, 67_000), SCANS),
    "C7 jpeg 101 scans": (lambda: many_scans(64, 64, 101), SCANS),
    "C7 jpeg two frame headers": (_second_frame_header, BAD),
    "C8 iCCP bomb": (lambda: _with(chunk(b"iCCP", b"p\0\0" + zeros(300_000_000))), BAD),
    "C8 zTXt bomb": (lambda: _with(chunk(b"zTXt", b"k\0\0" + zeros(300_000_000))), BAD),
    "C8 iTXt bomb": (lambda: _with(chunk(b"iTXt", b"k\0\x01\0\0\0" + zeros(300_000_000))), BAD),
    "C9 200k tEXt": (lambda: _with(_text(200_000, b"v")), CHUNKS),
    "C9 800k empty chunks": (lambda: _with(chunk(b"abCd") * 800_000), CHUNKS),
    "C9 2 MB of text": (lambda: _with(_text(2000, bytes([97]) * 1000)), BAD),
    "C9 jpeg of comments": (lambda: JPEG[:2] + b"\xff\xfe\0\x02" * 2_000_000 + JPEG[2:], CHUNKS),
    "C9 jpeg of fill bytes": (lambda: JPEG[:2] + b"\xff" * 9_000_000 + JPEG[2:], BAD),
    "C9 jpeg of reserved markers": (lambda: JPEG[:2] + b"\xff\x02" * 4_500_000 + JPEG[2:], BAD),
    "C9 jpeg of restart markers": (lambda: JPEG[:2] + b"\xff\xd0" * 4_500_000 + JPEG[2:], BAD),
    "C9 jpeg of Photoshop blocks": (lambda: JPEG[:2] + _photoshop() * 150 + JPEG[2:], None),
    "C9 jpeg of some fill bytes": (lambda: JPEG[:2] + b"\xff" * 60_000 + JPEG[2:], None),
    "C10 png with 250 MB in IDAT": (_idat_flood, None),
    "C11 jpeg cut by one byte": (lambda: JPEG[:-1], None),
    "C11 jpeg cut in half": (lambda: JPEG[: len(JPEG) // 2], CUT),
    "C11 png cut": (lambda: blank_png(64, 64)[:-1], CUT),
    "C11 webp cut": (lambda: encode(scene(32, 32), "WEBP")[:-2], CUT),
    "C17 1x1": (lambda: blank_png(1, 1), SIDE),
    "C17 1x8192": (lambda: blank_png(1, 8192), SIDE),
    "C17 8192x1": (lambda: encode(Image.new("L", (8192, 1)), "JPEG"), SIDE),
    "C17 webp 1x1": (lambda: blank_webp(1, 1), SIDE),
    "C17 2x2": (lambda: blank_png(2, 2), None),
    "C17 3x3 grey": (lambda: blank_png(3, 3, colour=GREY), None),
    "C17 2x8192": (lambda: blank_png(2, 8192), None),
    "C18 apng": (lambda: _animated("PNG"), None),
    "C18 animated webp": (lambda: _animated("WEBP"), None),
    "C19 eps": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n" + JPEG, FORMAT),
    "C19 psd": (lambda: b"8BPS\0\x01" + JPEG, FORMAT),
    "C19 fits": (lambda: b"SIMPLE  =                    T" + JPEG, FORMAT),
    "C19 tiff": (lambda: encode(scene(8, 8), "TIFF"), None),
    "C19 mp4": (lambda: b"\0\0\0\x20ftypisom" + bytes(64), FORMAT),
    "C19 pdf with a jpeg": (lambda: b"%PDF-1.7\n" + JPEG, FORMAT),
    "C19 svg": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg" onload="x()"/>', FORMAT),
    "C19 bmp": (lambda: encode(scene(8, 8), "BMP"), None),
    "C19 gif with a jpeg": (lambda: gif(8, 8) + JPEG, None),
    "C19 avif of nothing": (lambda: b"\0\0\0\x20ftypavif" + bytes(24), BAD),
    "C19 heic of nothing": (lambda: b"\0\0\0\x20ftypheic" + bytes(24), FORMAT),
    "C19 riff that is a sound": (lambda: b"RIFF\x24\0\0\0WAVEfmt " + bytes(32), FORMAT),
    "C19 jpeg with a zip behind": (lambda: JPEG + b"PK\x03\x04" + bytes(200), None),
    "C19 two jpegs": (lambda: JPEG + JPEG, None),
    "empty": (lambda: b"", "image_empty"),
    "zeros": (lambda: bytes(1000), FORMAT),
    "over the byte limit": (lambda: PNG_SIGNATURE + bytes(image_limits().max_bytes), "image_too_large"),
    "png without IHDR": (lambda: PNG_SIGNATURE + chunk(b"IDAT", b"x" * 13) + chunk(b"IEND"), BAD),
    "png with bad pixels": (lambda: png(8, 8, pixels=b"no zlib"), BAD),
    "png with too few pixels, which Pillow makes black": (lambda: png(8, 8, pixels=zeros(9 * 3)), None),
    "png of no width": (lambda: blank_png(0, 8), SIDE),
    "jpeg without a frame": (lambda: b"\xff\xd8\xff\xd9", BAD),
    "jpeg with a short segment": (lambda: b"\xff\xd8\xff\xe0\0\0" + JPEG[2:], BAD),
    "webp of an unknown kind": (lambda: b"RIFF\x40\0\0\0WEBPVP9 " + bytes(60), BAD),
}

if not HAS_AVIF:
    FILES = {name: made for name, made in FILES.items() if not name.startswith("C22")}
