"""Grounds of the drawn pictures: plain, linear or radial gradients, with several kinds of noise."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.scenes.palette import Rgb, from_hsv

Floats = NDArray[np.float32]
_POOL = 2100


@dataclass(frozen=True)
class Background:
    """A ground: its colours (each one is seen somewhere), its kind, direction in degrees and noise."""

    kind: str
    colours: tuple[Rgb, ...]
    angle: float
    noise: str
    sigma: float

    @property
    def noise_level(self) -> float:
        """Standard deviation of the noise, of 255."""
        return 0.0 if self.noise == "none" else self.sigma


def _ground_colour(rng: random.Random) -> Rgb:
    draw = rng.random()
    if draw < 0.2:
        return (255, 255, 255) if draw < 0.1 else (rng.randint(235, 255),) * 3
    if draw < 0.3:
        return (0, 0, 0) if draw < 0.25 else (rng.randint(0, 25),) * 3
    if draw < 0.55:
        level = rng.randint(30, 230)
        return level, level, level
    return from_hsv(rng.uniform(0, 360), rng.random(), rng.uniform(0.1, 1.0) ** 0.6)


def draw_background(rng: random.Random) -> Background:
    """Choose a ground; about half are plain, a third is noisy."""
    kind = rng.choices(("plain", "linear", "radial"), (0.5, 0.35, 0.15))[0]
    first = _ground_colour(rng)
    if kind == "plain":
        colours: tuple[Rgb, ...] = (first,)
    else:
        last = _ground_colour(rng)
        middle = tuple((one + other) // 2 for one, other in zip(first, last, strict=True))
        colours = first, (middle[0], middle[1], middle[2]), last
    noise = rng.choices(("none", "all", "ground", "grey", "blotches"), (0.6, 0.14, 0.14, 0.06, 0.06))[0]
    return Background(kind, colours, rng.uniform(0, 360), noise, rng.uniform(2, 26) * rng.uniform(0.4, 1.3))


@lru_cache(maxsize=1)
def _pool() -> Floats:
    """Normal noise to cut windows from: fresh numbers for each picture would cost most of the time."""
    return np.random.default_rng(7).standard_normal((_POOL, _POOL, 3), dtype=np.float32)


def noise_window(height: int, width: int, rng: random.Random) -> Floats:
    """Normal noise of mean 0 and deviation 1, float32 [height, width, 3]."""
    top, left = rng.randint(0, _POOL - height), rng.randint(0, _POOL - width)
    return _pool()[top : top + height, left : left + width]


def _gradient(background: Background, rng: random.Random) -> Image.Image:
    """The gradient on 64 x 64 points, to be stretched over the picture."""
    axis = np.linspace(-1, 1, 64, dtype=np.float32)
    if background.kind == "linear":
        turn = math.radians(background.angle)
        share = axis[None, :] * math.cos(turn) + axis[:, None] * math.sin(turn)
    else:
        x, y = rng.uniform(-0.5, 0.5), rng.uniform(-0.5, 0.5)
        share = np.hypot(axis[None, :] - x, axis[:, None] - y)
    share = (share - share.min()) / (share.max() - share.min())
    first, last = (
        np.asarray(colour, dtype=np.float32) for colour in background.colours[:: len(background.colours) - 1]
    )
    return Image.fromarray((first + share[..., None] * (last - first) + 0.5).astype(np.uint8))


def paint_background(background: Background, width: int, height: int, rng: random.Random) -> Image.Image:
    """The ground as an RGB picture, without noise."""
    if background.kind == "plain":
        return Image.new("RGB", (width, height), background.colours[0])
    return _gradient(background, rng).resize((width, height), Image.Resampling.BILINEAR)


def add_noise(image: Image.Image, background: Background, rng: random.Random) -> Image.Image:
    """The picture with the ground's noise on it, RGB."""
    width, height = image.size
    if background.noise == "blotches":
        small = noise_window(max(2, height // 24), max(2, width // 24), rng)
        levels = np.clip(small * background.sigma * 0.7 + 128, 0, 255).astype(np.uint8)
        spread = Image.fromarray(levels).resize((width, height), Image.Resampling.BICUBIC)
        noise = np.asarray(spread, dtype=np.float32) - 128
    else:
        noise = noise_window(height, width, rng) * background.sigma
        if background.noise == "grey":
            noise = noise[..., :1]
    return Image.fromarray(np.clip(np.asarray(image, dtype=np.float32) + noise, 0, 255).astype(np.uint8))
