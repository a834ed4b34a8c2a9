"""Any mode Pillow may decode, as plain RGB: what a person sees on a white page."""

from __future__ import annotations

from PIL import Image, ImageChops

_WHITE = (255, 255, 255)


def to_rgb(picture: Image.Image, bit_depth: int) -> Image.Image:
    """Three channels of 8 bits. Transparent parts become white, not the colour hidden below them.

    Colour profiles are ignored: the models never saw them, and the parser behind them is a risk.
    """
    if picture.mode.startswith("I"):
        picture = _grey16(picture)
    elif bit_depth == 16 and isinstance(key := picture.info.get("transparency"), tuple):
        picture.info["transparency"] = tuple(value >> 8 for value in key)
    if picture.has_transparency_data:
        return _on_white(picture.convert("RGBA"))
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _on_white(picture: Image.Image) -> Image.Image:
    page = Image.new("RGB", picture.size, _WHITE)
    page.paste(picture, (0, 0), picture)
    return page


def _grey16(picture: Image.Image) -> Image.Image:
    """Scale to 8 bits (Pillow's own conversion clips at 255) and keep a transparent value exact."""
    samples = picture.tobytes()
    high = Image.frombytes("L", picture.size, samples[1::2])
    key = picture.info.get("transparency")
    if not isinstance(key, int):
        return high
    low = Image.frombytes("L", picture.size, samples[0::2])
    hidden = ImageChops.darker(_equal(high, key >> 8), _equal(low, key & 0xFF))
    high.paste(255, (0, 0), hidden)
    return high


def _equal(picture: Image.Image, value: int) -> Image.Image:
    return picture.point([255 if level == value else 0 for level in range(256)])
