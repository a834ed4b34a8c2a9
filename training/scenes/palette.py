"""The eight colours: named values and ranges that nobody would call by another name."""

from __future__ import annotations

import colorsys
import random
from functools import lru_cache

Rgb = tuple[int, int, int]

COLOURS = ("red", "green", "blue", "yellow", "purple", "orange", "black", "white")

NAMED: dict[str, tuple[Rgb, ...]] = {
    "red": (
        (255, 0, 0),
        (255, 0, 0),
        (220, 20, 60),
        (200, 0, 0),
        (220, 30, 30),
        (230, 25, 25),
        (178, 34, 34),
    ),
    "green": (
        (0, 128, 0),
        (0, 255, 0),
        (34, 139, 34),
        (0, 200, 0),
        (30, 160, 60),
        (50, 205, 50),
        (46, 139, 87),
    ),
    "blue": (
        (0, 0, 255),
        (0, 0, 255),
        (30, 60, 220),
        (65, 105, 225),
        (0, 0, 200),
        (30, 144, 255),
        (31, 119, 180),
    ),
    "yellow": ((255, 255, 0), (255, 255, 0), (255, 215, 0), (240, 220, 20), (250, 230, 40), (255, 235, 59)),
    "purple": ((128, 0, 128), (128, 0, 128), (160, 32, 240), (148, 0, 211), (102, 51, 153), (142, 68, 173)),
    "orange": ((255, 165, 0), (255, 165, 0), (255, 140, 0), (255, 128, 0), (245, 130, 32), (240, 140, 20)),
    "black": ((0, 0, 0), (0, 0, 0), (0, 0, 0), (15, 15, 15), (25, 25, 25)),
    "white": ((255, 255, 255), (255, 255, 255), (255, 255, 255), (250, 250, 250), (240, 240, 240)),
}

# (hue in degrees from, to, least saturation, least value, most value)
RANGES: dict[str, tuple[float, float, float, float, float]] = {
    "red": (-12, 9, 0.70, 0.58, 1.0),
    "orange": (22, 40, 0.78, 0.85, 1.0),
    "yellow": (49, 64, 0.65, 0.82, 1.0),
    "green": (92, 158, 0.55, 0.38, 1.0),
    "blue": (204, 246, 0.60, 0.45, 1.0),
    "purple": (266, 302, 0.50, 0.38, 0.85),
    "black": (0, 360, 0.0, 0.0, 0.13),
    "white": (0, 360, 0.0, 0.93, 1.0),
}


def shade(colour: str, rng: random.Random) -> Rgb:
    """A shade of the colour, 0..255 a channel: a named value or one from its range."""
    if rng.random() < 0.45:
        return rng.choice(NAMED[colour])
    low, high, saturation, dark, light = RANGES[colour]
    grey = colour in ("black", "white")
    vivid = rng.uniform(0.0, 0.05 if colour == "white" else 0.3) if grey else rng.uniform(saturation, 1.0)
    return from_hsv(rng.uniform(low, high), vivid, rng.uniform(dark, light))


def from_hsv(hue: float, saturation: float, value: float) -> Rgb:
    """RGB of 0..255 from a hue in degrees and two shares of 0..1."""
    red, green, blue = colorsys.hsv_to_rgb((hue % 360) / 360, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def _linear(channel: int) -> float:
    share = channel / 255
    return share / 12.92 if share <= 0.04045 else float(((share + 0.055) / 1.055) ** 2.4)


def _curve(share: float) -> float:
    return float(share ** (1 / 3)) if share > 0.008856 else 7.787 * share + 16 / 116


@lru_cache(maxsize=4096)
def lab(rgb: Rgb) -> tuple[float, float, float]:
    """CIE L*a*b* of an sRGB colour."""
    red, green, blue = (_linear(channel) for channel in rgb)
    x = _curve((0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.9505)
    y = _curve(0.2126 * red + 0.7152 * green + 0.0722 * blue)
    z = _curve((0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.089)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def contrast(one: Rgb, other: Rgb) -> float:
    """Distance of two colours in L*a*b* (1976); 2 is just visible, 100 is black on white."""
    pairs = zip(lab(one), lab(other), strict=True)
    return float(sum((first - second) ** 2 for first, second in pairs) ** 0.5)
