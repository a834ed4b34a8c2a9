"""Draws the scenes of `foreign_scenes` to files; only for measuring, never trained on.

Whole pictures are drawn three times as large or with hard edges; gradients and noise are computed for
each pixel.
"""

from __future__ import annotations

import io
import math
import random

import numpy as np
from PIL import Image, ImageDraw

from training.scenes.scenes import Scene, Thing

STYLES = ("hard edges", "smooth", "noise", "JPEG")


def _corners(thing: Thing, scale: int) -> list[tuple[float, float]]:
    radius = thing.radius * scale
    if thing.shape == "square":
        half = radius / math.sqrt(2)
        points = [(-half, -half), (half, -half), (half, half), (-half, half)]
    elif thing.shape == "triangle":
        tall = radius * 1.5
        wide = tall / thing.form / 2
        points = [(0.0, -tall * 2 / 3), (wide, tall / 3), (-wide, tall / 3)]
    else:
        spokes = [(-90 + 36 * spoke, radius * (thing.form if spoke % 2 else 1)) for spoke in range(10)]
        points = [
            (length * math.cos(math.radians(turn)), length * math.sin(math.radians(turn)))
            for turn, length in spokes
        ]
    angle = math.radians(thing.angle)
    return [
        (
            thing.centre[0] * scale + x * math.cos(angle) - y * math.sin(angle),
            thing.centre[1] * scale + x * math.sin(angle) + y * math.cos(angle),
        )
        for x, y in points
    ]


def _ground(scene: Scene, rng: random.Random) -> Image.Image:
    colours = scene.background.colours
    if len(colours) == 1:
        return Image.new("RGB", (scene.width, scene.height), colours[0])
    rows, columns = np.mgrid[0 : scene.height, 0 : scene.width].astype(np.float64)
    if scene.background.kind == "linear":
        share = (rows if rng.random() < 0.5 else columns) / max(scene.width, scene.height)
    else:
        share = np.hypot(rows - scene.height / 2, columns - scene.width / 2)
    share = (share / share.max())[..., None]
    mixed = np.array(colours[0]) * (1 - share) + np.array(colours[1]) * share
    return Image.fromarray(mixed.round().astype(np.uint8))


def _painted(scene: Scene, scale: int, rng: random.Random) -> Image.Image:
    image = _ground(scene, rng).resize((scene.width * scale, scene.height * scale), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(image)
    for thing in scene.things:
        if thing.shape == "circle":
            (x, y), radius = thing.centre, thing.radius
            draw.ellipse(
                [scale * side for side in (x - radius, y - radius, x + radius, y + radius)], thing.rgb
            )
        else:
            draw.polygon(_corners(thing, scale), fill=thing.rgb)
    return image.resize((scene.width, scene.height), Image.Resampling.LANCZOS)


def foreign_file(scene: Scene, style: str, rng: random.Random) -> bytes:
    """The scene drawn in a style, as a PNG or JPEG file."""
    scale = {"hard edges": 1, "JPEG": rng.choice((1, 3))}.get(style, 3)
    if scene.width * scene.height > 900_000:
        scale = min(scale, 2)
    image = _painted(scene, scale, rng)
    if style == "noise" or (style == "JPEG" and rng.random() < 0.3):
        noise = np.random.default_rng(rng.getrandbits(32)).normal(
            0, rng.uniform(4, 20), (*image.size[::-1], 3)
        )
        image = Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))
    memory = io.BytesIO()
    if style == "JPEG":
        image.save(memory, "JPEG", quality=rng.randint(40, 95))
    else:
        image.save(memory, "PNG", compress_level=1)
    return memory.getvalue()
