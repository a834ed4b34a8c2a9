"""Bytes of a stranger to RGB of the wanted size: pure, no process, no file, no network.

Nothing here is safe against time: `hailo_common.images.child` runs it where it can be killed.
"""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import dataclass

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageChops,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from hailo_common.errors import ServiceError
from hailo_common.images.avif import open_avif
from hailo_common.images.bitmaps import plain_tiff
from hailo_common.images.heif.heic import open_heic
from hailo_common.images.limits import DECODE_FAILED, Buffer, Format, Header, ImageLimits, image_error
from hailo_common.images.probe import inspect
from hailo_common.images.resize import AspectRatioError, ResizeSpec

PngImagePlugin.MAX_TEXT_MEMORY = 1024 * 1024
# Comments and application data other than JFIF, EXIF and Adobe's: more parsers, slow ones among them.
for _code in (*range(0xFFE2, 0xFFEE), 0xFFEF, 0xFFFE):
    JpegImagePlugin.MARKER[_code] = ("", "", JpegImagePlugin.Skip)

# Not Image.open: its JPEG reader goes on to parse whatever other images the file holds (MPO).
_READERS: dict[Format, type[ImageFile.ImageFile]] = {
    Format.JPEG: JpegImagePlugin.JpegImageFile,
    Format.PNG: PngImagePlugin.PngImageFile,
    Format.WEBP: WebPImagePlugin.WebPImageFile,
    Format.GIF: GifImagePlugin.GifImageFile,
    Format.BMP: BmpImagePlugin.BmpImageFile,
}
_WHITE = (255, 255, 255)
_REDUCING_GAP = 2.0
_ORIENTATION = 0x0112
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_FIRST_SIDEWAYS = 5


@dataclass(frozen=True)
class Decoded:
    """`rgb` holds height * width * 3 bytes; the original size is the one a viewer shows, after rotation."""

    rgb: bytes
    width: int
    height: int
    original_width: int
    original_height: int
    format: Format


def decode(data: Buffer, target: ResizeSpec, limits: ImageLimits) -> Decoded:
    """Check, decode and resize one image. Raises ServiceError and nothing else."""
    header = inspect(data, limits)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _checked(data, header, target, limits)
    except ServiceError:
        raise
    except AspectRatioError:
        raise image_error("image_aspect_ratio", limits) from None
    except MemoryError:
        raise image_error(DECODE_FAILED, limits) from None
    except Exception:
        # Fuzzing met SyntaxError, ValueError and struct.error beside OSError: any of them means bad data.
        raise image_error("invalid_image", limits) from None


def _to_rgb(image: Image.Image, bit_depth: int) -> Image.Image:
    """Three channels of 8 bits from any mode that Pillow may decode: what a person sees on a white page.

    Transparent parts become white, not the colour hidden below them. Colour profiles are ignored: the
    models never saw them, and the parser behind them is a risk.
    """
    if image.mode.startswith("I"):
        image = _grey16(image)
    elif bit_depth == 16 and isinstance(key := image.info.get("transparency"), tuple):
        image.info["transparency"] = tuple(value >> 8 for value in key)
    if image.has_transparency_data:
        return _on_white(image.convert("RGBA"))
    return image if image.mode == "RGB" else image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    page = Image.new("RGB", image.size, _WHITE)
    page.paste(image, (0, 0), image)
    return page


def _grey16(image: Image.Image) -> Image.Image:
    """Scale to 8 bits (Pillow's own conversion clips at 255) and keep a transparent value exact."""
    samples = image.tobytes()
    if image.mode == "I;16B":
        return Image.frombytes("L", image.size, samples[0::2])
    high = Image.frombytes("L", image.size, samples[1::2])
    key = image.info.get("transparency")
    if not isinstance(key, int):
        return high
    low = Image.frombytes("L", image.size, samples[0::2])
    hidden = ImageChops.darker(_equal(high, key >> 8), _equal(low, key & 0xFF))
    high.paste(255, (0, 0), hidden)
    return high


def _equal(image: Image.Image, value: int) -> Image.Image:
    return image.point([255 if level == value else 0 for level in range(256)])


def _checked(data: Buffer, header: Header, target: ResizeSpec, limits: ImageLimits) -> Decoded:
    _check_decoded_size(header, target, limits)
    if header.ending == "whole":
        return _render(data, header, target, limits)
    data = bytes(data).rstrip(b"\xff")
    tails = _tails(2 * len(data) + _LEAST_NOISE, _intervals(header, limits))
    first, second = (_render(data + tail, header, target, limits) for tail in tails)
    if first == second:
        return first
    if _differing(first, second) > _MISSING_SHARE:
        raise image_error("image_truncated", limits)
    return _render(data + _END, header, target, limits)


def _check_decoded_size(header: Header, target: ResizeSpec, limits: ImageLimits) -> None:
    """Hold the size to which a large JPEG or HEIC is decoded against the limit for all others."""
    pixels = header.width * header.height
    if pixels <= limits.max_pixels:
        return
    scale = 1 if target.exact else _draft_scale((header.width, header.height), target)
    if pixels > limits.max_pixels * scale * scale:
        raise image_error("too_many_pixels", limits)


def _draft_scale(stored: tuple[int, int], target: ResizeSpec) -> int:
    """The divisor with which libjpeg or `heic` decodes, whichever way the image lies."""
    scales = []
    for orientation in (1, _FIRST_SIDEWAYS):
        least = _least(stored, orientation, target)
        scales.append(min(stored[0] // least[0], stored[1] // least[1]))
    return next((scale for scale in (8, 4, 2) if min(scales) >= scale), 1)


def _differing(one: Decoded, other: Decoded) -> float:
    """The share of an image's pixels that differ from those of another."""
    pair = [Image.frombytes("RGB", (each.width, each.height), each.rgb) for each in (one, other)]
    bands = ImageChops.difference(*pair).split()
    same = ImageChops.lighter(ImageChops.lighter(bands[0], bands[1]), bands[2]).histogram()[0]
    return 1 - same / (one.width * one.height)


_END = b"\xff\xd9"
_MISSING_SHARE = 0.05
"""Of the image, at its end. With less than that missing an answer is true; with more it may not be."""
_LEAST_NOISE = 4096
_MAX_INTERVALS = 100_000
_NOISE = bytes(index * index * 37 % 241 + 5 for index in range(4096))


def _intervals(header: Header, limits: ImageLimits) -> int:
    """How many restart markers a JPEG may have, with blocks of the smallest size; 0 if it has none."""
    if not header.restart_interval:
        return 0
    count = header.width * header.height // (64 * header.restart_interval) + header.height // 8 + 2
    if count > _MAX_INTERVALS:
        raise image_error("image_truncated", limits)
    return count


def _tails(size: int, intervals: int) -> tuple[bytes, bytes]:
    """Two ends for a scan that differ in every bit, with the restart markers that may be due, and the end
    marker.

    libjpeg fills what is missing with grey and says nothing. An image that comes out the same whatever
    follows its last byte misses nothing but the end marker; where it does not, what differs is what is
    missing. Two tails stand for "whatever", each long enough for all that may be missing.
    """
    length = max(64, size // (intervals + 1))
    noise = (_NOISE * (length // len(_NOISE) + 1))[:length]
    marks = [bytes((0xFF, 0xD0 + number % 8)) for number in range(intervals)]
    first, second = (
        each + b"".join(mark + each for mark in marks) + _END
        for each in (noise, bytes(255 - byte for byte in noise))
    )
    return first, second


def _render(data: Buffer, header: Header, target: ResizeSpec, limits: ImageLimits) -> Decoded:
    rgb, orientation = _load(data, header, target, limits)
    stored = (header.width, header.height)
    # Boxes say how an image is turned, and so how large it is for a viewer.
    boxed = header.format in (Format.AVIF, Format.HEIC)
    original = stored if boxed else _as_seen(stored, orientation)
    size, content = target.size_for(*original), target.content_for(*original)
    result = _centred(_fit(rgb, orientation, content, target), size)
    return Decoded(result.tobytes(), *size, *original, header.format)


def _load(data: Buffer, header: Header, target: ResizeSpec, limits: ImageLimits) -> tuple[Image.Image, int]:
    """The pixels in RGB and the EXIF orientation. On return the reader's buffers are free again."""
    image: Image.Image
    size = header.width, header.height
    if header.format is Format.HEIC:
        return _load_heic(data, header, target, limits), 1
    if header.format is Format.AVIF:
        image, orientation = open_avif(bytes(data), limits)
        size = _as_seen(size, orientation)
    elif header.format is Format.TIFF:
        plain, orientation = plain_tiff(data, limits)
        image = TiffImagePlugin.TiffImageFile(io.BytesIO(plain))
    else:
        image, orientation = _READERS[header.format](io.BytesIO(data)), 0
    if image.size != size:
        raise ValueError("Pillow reads another size than the header check did")
    if isinstance(image, ImageFile.ImageFile):
        found = _load_pixels(image, target)
        orientation = orientation or found
    return _to_rgb(image, header.bit_depth), orientation if orientation in _TRANSPOSE else 1


def _load_heic(data: Buffer, header: Header, target: ResizeSpec, limits: ImageLimits) -> Image.Image:
    size = header.width, header.height
    scale = _draft_scale(size, target) if header.can_shrink and not target.exact else 1
    image = open_heic(data, limits, scale)
    if any(abs(side * scale - whole) >= 2 * scale for side, whole in zip(image.size, size, strict=True)):
        raise ValueError("the pieces make another size than the header check found")
    return image


def _load_pixels(image: ImageFile.ImageFile, target: ResizeSpec) -> int:
    """Load at a reduced scale where that will do; returns the EXIF orientation."""
    if not isinstance(image, JpegImagePlugin.JpegImageFile):
        image.load()
        return _orientation(image)
    orientation = _orientation(image)
    if not target.exact:
        image.draft(None, _least(image.size, orientation, target))
    image.load()
    return orientation


def _least(stored: tuple[int, int], orientation: int, target: ResizeSpec) -> tuple[int, int]:
    """The stored size below which the used part of an image would have to be enlarged."""
    width, height = _as_seen(target.content_for(*_as_seen(stored, orientation)), orientation)
    left, top, right, bottom = _window(stored, orientation, target)
    return math.ceil(width * stored[0] / (right - left)), math.ceil(height * stored[1] / (bottom - top))


def _fit(rgb: Image.Image, orientation: int, size: tuple[int, int], target: ResizeSpec) -> Image.Image:
    """Turn first where every grey level must match the reference processor, else turn the small result."""
    resample = Image.Resampling(target.resample)
    if target.exact:
        upright = _upright(rgb, orientation)
        return upright.resize(size, resample, target.window(*upright.size))
    window = _window(rgb.size, orientation, target)
    small = rgb.resize(_as_seen(size, orientation), resample, window, reducing_gap=_REDUCING_GAP)
    return _upright(small, orientation)


def _window(
    stored: tuple[int, int], orientation: int, target: ResizeSpec
) -> tuple[float, float, float, float]:
    """The part of the stored image that is used; it is the middle one, whichever way the image lies."""
    left, top, right, bottom = target.window(*_as_seen(stored, orientation))
    return (top, left, bottom, right) if orientation >= _FIRST_SIDEWAYS else (left, top, right, bottom)


def _centred(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The image in the middle of a black one of `size`, which is as large or larger."""
    if image.size == size:
        return image
    left, top = (size[0] - image.width) // 2, (size[1] - image.height) // 2
    return image.crop((-left, -top, size[0] - left, size[1] - top))


def _as_seen(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """A stored size as seen, or a seen one as stored."""
    return size[::-1] if orientation >= _FIRST_SIDEWAYS else size


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_TRANSPOSE[orientation]) if orientation in _TRANSPOSE else image


def _orientation(image: ImageFile.ImageFile) -> int:
    """2 to 8, or 1 for upright and for EXIF data that is junk: that refuses no image."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:
        return 1
    return value if isinstance(value, int) and value in _TRANSPOSE else 1
