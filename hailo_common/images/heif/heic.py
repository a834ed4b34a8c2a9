"""HEIC to RGB: piece after piece through the codec, made smaller while they are put together."""

from __future__ import annotations

import math

from PIL import Image, ImageChops

from hailo_common.images.boxes import Item
from hailo_common.images.heif.layout import Crop, Layout, Mirror, Step, layout_of
from hailo_common.images.heif.libde265 import Decoder, Frame, Plane, available, decoder
from hailo_common.images.limits import Buffer, ImageLimits, image_error

# A decoder cannot open the library any more when the first image comes.
available()

_TURNS = {1: Image.Transpose.ROTATE_90, 2: Image.Transpose.ROTATE_180, 3: Image.Transpose.ROTATE_270}
_WEIGHTS = {1: (0.2126, 0.0722), 4: (0.3, 0.11), 7: (0.212, 0.087), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}
_USUAL_WEIGHTS = (0.299, 0.114)
"""What red and blue give to brightness, by the number of the matrix (H.265 E.3.1)."""
_IDENTITY = 0


def open_heic(data: Buffer, limits: ImageLimits, scale: int) -> Image.Image:
    """The image in RGB as a viewer shows it on a white page, `scale` times smaller: 1, 2, 4 or 8.

    Raises ServiceError (`heic_support_missing`) where there is no codec, and ValueError for damaged data.
    """
    if not available():
        raise image_error("heic_support_missing", limits)
    layout = layout_of(data, limits)
    with decoder() as codec:
        image = _whole(layout, codec, scale)
        if (opacity := layout.opacity()) is not None:
            page = Image.new("RGB", image.size, "white")
            page.paste(image, (0, 0), _whole(opacity, codec, scale).getchannel(0))
            image = page
    for step in layout.steps:
        image = _after(image, step, scale)
    return image


def _whole(layout: Layout, codec: Decoder, scale: int) -> Image.Image:
    """All of an image, before it is cut and turned."""
    image = _put_together(layout, codec, scale)
    return image.crop((0, 0, -(-layout.width // scale), -(-layout.height // scale)))


def _put_together(layout: Layout, codec: Decoder, scale: int) -> Image.Image:
    """All pieces, in rows."""
    if len(layout.pieces) == 1:
        return _piece(layout, codec, layout.pieces[0], scale)
    wide, high = (side // scale for side in layout.piece)
    whole = Image.new("RGB", (wide * layout.columns, high * (len(layout.pieces) // layout.columns)))
    for number, piece in enumerate(layout.pieces):
        row, column = divmod(number, layout.columns)
        whole.paste(_piece(layout, codec, piece, scale), (column * wide, row * high))
    return whole


def _piece(layout: Layout, codec: Decoder, piece: Item, scale: int) -> Image.Image:
    frame = codec.frame([*layout.sets(piece), *layout.units(piece)])
    first = frame.planes[0]
    if first.width < layout.piece[0] or first.height < layout.piece[1]:
        raise ValueError("the codec gives a smaller frame than the boxes say")
    image = _rgb(frame, layout, scale)
    return image.crop((0, 0, -(-layout.piece[0] // scale), -(-layout.piece[1] // scale)))


def _rgb(frame: Frame, layout: Layout, scale: int) -> Image.Image:
    size = -(-frame.planes[0].width // scale), -(-frame.planes[0].height // scale)
    matrix, full = frame.matrix, frame.full_range
    if layout.colours:
        matrix, full = layout.colours.matrix, layout.colours.full_range
    bands = [_band(plane, size) for plane in frame.planes]
    if len(bands) == 1:
        bands *= 3
        return Image.merge("RGB", bands).convert("RGB", _grey_weights(full))
    merged = Image.merge("RGB", bands)
    return merged.convert("RGB", _identity(full) if matrix == _IDENTITY else _weights(matrix, full))


def _band(plane: Plane, size: tuple[int, int]) -> Image.Image:
    """The samples in eight bits at the wanted size: one value for a block of pixels, or between values."""
    image = _eight_bits(plane)
    if plane.width > size[0]:
        factor = round(plane.width / size[0]), max(1, round(plane.height / size[1]))
        image = image.reduce(factor)
    return image if image.size == size else image.resize(size, Image.Resampling.BILINEAR)


def _eight_bits(plane: Plane) -> Image.Image:
    size = plane.width, plane.height
    if plane.bits <= 8:
        return Image.frombytes("L", size, plane.samples)
    low = Image.frombytes("L", size, plane.samples[0::2])
    high = Image.frombytes("L", size, plane.samples[1::2])
    spare = plane.bits - 8
    upper = high.point([value << 8 - spare & 255 for value in range(256)])
    return ImageChops.add(upper, low.point([value >> spare for value in range(256)]))


def _range(full: bool) -> tuple[float, float, float]:
    """What brightness and colours are multiplied by, and where black is."""
    return (1.0, 1.0, 0.0) if full else (255 / 219, 255 / 224, 16.0)


def _weights(matrix: int, full: bool) -> tuple[float, ...]:
    """Rows of red, green and blue: weights of Y, Cb, Cr, and what is added."""
    red, blue = _WEIGHTS.get(matrix, _USUAL_WEIGHTS)
    green = 1 - red - blue
    bright, colour, black = _range(full)
    from_red, from_blue = 2 * (1 - red) * colour, 2 * (1 - blue) * colour
    rows = (
        (0.0, from_red),
        (-from_blue * blue / green, -from_red * red / green),
        (from_blue, 0.0),
    )
    return tuple(
        number
        for to_blue, to_red in rows
        for number in (bright, to_blue, to_red, -bright * black - 128 * (to_blue + to_red))
    )


def _identity(full: bool) -> tuple[float, ...]:
    """Green, blue and red themselves."""
    bright, _, black = _range(full)
    away = -bright * black
    return (0, 0, bright, away, bright, 0, 0, away, 0, bright, 0, away)


def _grey_weights(full: bool) -> tuple[float, ...]:
    bright, _, black = _range(full)
    return (bright, 0, 0, -bright * black) * 3


def _after(image: Image.Image, step: Step, scale: int) -> Image.Image:
    if isinstance(step, Crop):
        return _cropped(image, step, scale)
    if isinstance(step, Mirror):
        way = Image.Transpose.FLIP_LEFT_RIGHT if step.sideways else Image.Transpose.FLIP_TOP_BOTTOM
        return image.transpose(way)
    return image.transpose(_TURNS[step.quarters]) if step.quarters else image


def _cropped(image: Image.Image, crop: Crop, scale: int) -> Image.Image:
    wide, high = math.ceil(int(crop.width) / scale), math.ceil(int(crop.height) / scale)
    left = min(max(0, round((image.width - wide) / 2 + crop.right / scale)), image.width - wide)
    top = min(max(0, round((image.height - high) / 2 + crop.down / scale)), image.height - high)
    return image.crop((left, top, left + wide, top + high))
