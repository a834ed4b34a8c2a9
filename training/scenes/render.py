"""Draws scenes as pictures, and squashes pictures to the model's square as the service does."""

from __future__ import annotations

import io
import math
import random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from training.scenes.backgrounds import add_noise, paint_background
from training.scenes.palette import Rgb
from training.scenes.scenes import Scene, Thing

Points = list[tuple[float, float]]


def outline_points(thing: Thing) -> Points:
    """Corners around (0, 0) in a bounding circle of 1, not yet turned; empty for a circle."""
    if thing.shape == "square":
        return [(-0.7071, -0.7071), (0.7071, -0.7071), (0.7071, 0.7071), (-0.7071, 0.7071)]
    if thing.shape == "triangle":
        # the origin lies between the centroid and the middle of the bounding box
        top, bottom = -0.583, 0.417
        scale = 1.0 / max(-top, math.hypot(thing.form, bottom))
        return [
            (0.0, top * scale),
            (thing.form * scale, bottom * scale),
            (-thing.form * scale, bottom * scale),
        ]
    if thing.shape == "star":
        turns = [math.pi * step / 5 for step in range(10)]
        return [
            (math.sin(turn) * scale, -math.cos(turn) * scale)
            for turn, scale in zip(turns, [1.0, thing.form] * 5, strict=True)
        ]
    return []


def _turned(points: Points, angle: float) -> Points:
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return [(x * cosine - y * sine, x * sine + y * cosine) for x, y in points]


def _shape_on(
    draw: ImageDraw.ImageDraw, thing: Thing, place: tuple[float, float], radius: float, fill: int | Rgb
) -> None:
    x, y = place
    if thing.shape == "circle":
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)
    else:
        corners = _turned(outline_points(thing), thing.angle)
        draw.polygon([(x + radius * across, y + radius * down) for across, down in corners], fill=fill)


def _smooth(image: Image.Image, thing: Thing, radius: float, rgb: Rgb, blur: float) -> None:
    """Paste the shape through a mask that was drawn three times as large."""
    scale = 3 if radius < 150 else 2
    left, top = math.floor(thing.centre[0] - radius) - 3, math.floor(thing.centre[1] - radius) - 3
    side = math.ceil(2 * radius) + 7
    mask = Image.new("L", (side * scale, side * scale), 0)
    place = ((thing.centre[0] - left) * scale, (thing.centre[1] - top) * scale)
    _shape_on(ImageDraw.Draw(mask), thing, place, radius * scale, 255)
    mask = mask.resize((side, side), Image.Resampling.BOX)
    if blur:
        mask = mask.filter(ImageFilter.GaussianBlur(blur))
    image.paste(rgb, (left, top), mask)


def _rim(thing: Thing, rng: random.Random) -> Rgb:
    """Colour of a thin outline: black, white or a darker shade."""
    draw = rng.random()
    if draw < 0.4:
        return (0, 0, 0)
    if draw < 0.6:
        return (255, 255, 255)
    red, green, blue = thing.rgb
    return int(red * 0.65), int(green * 0.65), int(blue * 0.65)


def _draw_things(image: Image.Image, scene: Scene, rng: random.Random) -> None:
    draw = ImageDraw.Draw(image)
    jagged, rims = rng.random() < 0.4, rng.random() < 0.12
    blur = rng.uniform(0.4, 1.0) * max(1.0, min(image.size) / 220) if rng.random() < 0.12 else 0.0
    for thing in scene.things:
        layers = [(thing.radius, thing.rgb)]
        if rims and thing.radius > 8:
            width = rng.uniform(0.02, 0.09) * thing.radius
            layers = [(thing.radius, _rim(thing, rng)), (thing.radius - max(1.0, width), thing.rgb)]
        for radius, rgb in layers:
            if jagged:
                _shape_on(draw, thing, thing.centre, radius, rgb)
            else:
                _smooth(image, thing, radius, rgb, blur)


def draw(scene: Scene, rng: random.Random) -> Image.Image:
    """The scene as an RGB picture of its own size."""
    background = scene.background
    image = paint_background(background, scene.width, scene.height, rng)
    if background.noise in ("ground", "blotches"):
        image = add_noise(image, background, rng)
    _draw_things(image, scene, rng)
    if background.noise in ("all", "grey"):
        image = add_noise(image, background, rng)
    return image


def cover(scene: Scene, width: int, height: int) -> NDArray[np.float32]:
    """Where objects are on the scene resized to so many points, 1 or 0: float32 [height, width]."""
    mask = Image.new("L", (width, height), 0)
    on = ImageDraw.Draw(mask)
    across, down = width / scene.width, height / scene.height
    for thing in scene.things:
        x, y, radius = thing.centre[0] * across, thing.centre[1] * down, thing.radius
        if thing.shape == "circle":
            box = x - radius * across, y - radius * down, x + radius * across, y + radius * down
            on.ellipse(box, fill=1)
        else:
            corners = _turned(outline_points(thing), thing.angle)
            on.polygon(
                [(x + radius * right * across, y + radius * low * down) for right, low in corners], fill=1
            )
    return np.asarray(mask, dtype=np.float32)


def compressed(image: Image.Image, quality: int) -> bytes:
    """The picture as a JPEG file of the given quality (1 to 95)."""
    memory = io.BytesIO()
    image.save(memory, "JPEG", quality=quality)
    return memory.getvalue()


def squash(image: Image.Image, size: tuple[int, int], gap: float | None = 2.0) -> NDArray[np.uint8]:
    """The picture at `size` (width, height) whatever its aspect, uint8 [height, width, 3]."""
    small = image.convert("RGB").resize(size, Image.Resampling.BICUBIC, reducing_gap=gap)
    return np.asarray(small, dtype=np.uint8)


def view(scene: Scene, size: tuple[int, int], rng: random.Random, jpegs: float = 0.4) -> NDArray[np.uint8]:
    """Draw, perhaps (a share `jpegs`) compress, and resize a scene: uint8 [height, width, 3]."""
    image: Image.Image = draw(scene, rng)
    if rng.random() < jpegs:
        image = Image.open(io.BytesIO(compressed(image, rng.randint(38, 95))))
        if rng.random() < 0.5:
            image.draft("RGB", size)
    return squash(image, size, 2.0 if rng.random() < 0.5 else None)
