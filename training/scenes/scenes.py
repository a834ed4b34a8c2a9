"""What a scene holds: sizes, places and colours of one to three objects, in pixels of the picture."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace

from training.scenes.backgrounds import Background, draw_background
from training.scenes.palette import COLOURS, Rgb, contrast, shade

SHAPES = ("circle", "square", "triangle", "star")
LEAST_CONTRAST = 24.0


@dataclass(frozen=True)
class Thing:
    """One object; `centre` and `radius` (of its bounding circle) are pixels of the picture."""

    shape: str
    colour: str
    rgb: Rgb
    centre: tuple[float, float]
    radius: float
    angle: float
    form: float

    @property
    def name(self) -> str:
        """Colour and shape, without the article."""
        return f"{self.colour} {self.shape}"


@dataclass(frozen=True)
class Scene:
    """A picture's size in pixels, its ground and its objects."""

    width: int
    height: int
    things: tuple[Thing, ...]
    background: Background

    @property
    def least_radius(self) -> float:
        """Radius of the smallest object as a share of the picture's longer side: how hard it is to see."""
        return min(thing.radius for thing in self.things) / max(self.width, self.height)

    def mirrored(self, across: bool, down: bool) -> Scene:
        """The scene flipped; only the centres are right afterwards, enough for words."""
        moved = tuple(
            replace(
                thing,
                centre=(
                    self.width - thing.centre[0] if across else thing.centre[0],
                    self.height - thing.centre[1] if down else thing.centre[1],
                ),
            )
            for thing in self.things
        )
        return replace(self, things=moved)


def _image_size(rng: random.Random) -> tuple[int, int]:
    short = math.exp(rng.uniform(math.log(96), math.log(460)))
    if rng.random() < 0.12:
        short = rng.uniform(460, 1000)
    draw = rng.random()
    aspect = 1.0 if draw < 0.28 else math.exp(rng.uniform(0.0, math.log(2.1)))
    if draw > 0.97:
        aspect = rng.uniform(2.1, 2.6)
    sides = round(short), min(2000, round(short * aspect))
    return (sides[0], sides[1]) if rng.random() < 0.38 else (sides[1], sides[0])


def _kinds(count: int, rng: random.Random) -> list[tuple[str, str]]:
    """Distinct pairs of shape and colour; one shape or one colour is often shared."""
    one_shape = rng.choice(SHAPES) if rng.random() < 0.18 else None
    one_colour = rng.choice(COLOURS) if one_shape is None and rng.random() < 0.15 else None
    pairs: list[tuple[str, str]] = []
    while len(pairs) < count:
        pair = one_shape or rng.choice(SHAPES), one_colour or rng.choice(COLOURS)
        if pair not in pairs:
            pairs.append(pair)
    return pairs


def _radii(count: int, short: float, long: float, *, mixed: float, rng: random.Random) -> list[float]:
    """Radii in pixels: of about one size, or (a share `mixed` of the scenes) each drawn by itself."""
    most = {1: 0.55, 2: 0.46, 3: 0.40}[count]
    least = max(0.075, 0.052 * long / short)
    if mixed and rng.random() < mixed:
        return [short * rng.uniform(least, most) / 2 for _ in range(count)]
    size = rng.uniform(math.log(least * 1.3), math.log(most))
    shares = [math.exp(size + rng.gauss(0, 0.25)) for _ in range(count)]
    return [short * min(max(share, least), most) / 2 for share in shares]


def _form(shape: str, rng: random.Random) -> float:
    """The one free number of a shape: a star's inner radius, a triangle's half width over its height."""
    if shape == "star":
        return 0.382 if rng.random() < 0.25 else rng.uniform(0.34, 0.62)
    if shape == "triangle":
        return 0.577 if rng.random() < 0.4 else rng.uniform(0.38, 0.85)
    return 0.0


def _angle(shape: str, rng: random.Random) -> float:
    if shape == "circle" or rng.random() < 0.5:
        return 0.0
    return rng.uniform(0, 360)


def _places(
    radii: list[float], width: int, height: int, rng: random.Random
) -> list[tuple[float, float]] | None:
    """Centres without (or with very little) overlap, or None where the drawn box was too small."""
    gap = 0.9 if rng.random() < 0.1 else rng.uniform(1.0, 1.25)
    share = (rng.uniform(0.45, 1.0), rng.uniform(0.45, 1.0)) if rng.random() < 0.5 else (1.0, 1.0)
    box = width * share[0], height * share[1]
    corner = rng.uniform(0, width - box[0]), rng.uniform(0, height - box[1])
    centres: list[tuple[float, float]] = []
    for index, radius in enumerate(radii):
        for _ in range(25):
            free = max(0.0, box[0] - 2 * radius), max(0.0, box[1] - 2 * radius)
            x, y = corner[0] + radius + free[0] * rng.random(), corner[1] + radius + free[1] * rng.random()
            inside = radius <= x <= width - radius and radius <= y <= height - radius
            if inside and all(
                math.dist((x, y), centres[other]) >= gap * (radius + radii[other]) for other in range(index)
            ):
                centres.append((x, y))
                break
        else:
            return None
    return centres


def _near_tie(centres: list[tuple[float, float]], width: int, height: int, margin: float) -> bool:
    """Whether any pair's order in the picture is decided by less than the margin."""
    for index, (x, y) in enumerate(centres):
        for other_x, other_y in centres[:index]:
            across, down = abs(x - other_x), abs(y - other_y)
            if len(centres) == 2 and max(across, down) < (1 + margin) * min(across, down):
                return True
            if len(centres) == 3 and across < margin * 0.3 * width:
                return True
            if margin > 0.2 and (across / width > down / height) != (across > down):
                return True
    return False


def _coloured(colour: str, ground: tuple[Rgb, ...], rng: random.Random) -> Rgb | None:
    for _ in range(6):
        rgb = shade(colour, rng)
        if all(contrast(rgb, other) >= LEAST_CONTRAST for other in ground):
            return rgb
    return None


def sample_scene(rng: random.Random, margin: float = 0.1, mixed: float = 0.5) -> Scene:
    """Draw a scene; pairs nearer to a tie than `margin` (share of the longer distance) are redrawn.

    With a margin over 0.2 the longer axis is also the same in pixels and in the squashed square.
    `mixed` is the share of scenes whose objects differ freely in size.
    """
    number = rng.choices((1, 2, 3), (0.24, 0.34, 0.42))[0]
    while True:
        width, height = _image_size(rng)
        background = draw_background(rng)
        kinds = _kinds(number, rng)
        shades = [_coloured(colour, background.colours, rng) for _, colour in kinds]
        radii = _radii(number, min(width, height), max(width, height), mixed=mixed, rng=rng)
        centres = _places(radii, width, height, rng)
        if centres is None or None in shades or _near_tie(centres, width, height, margin):
            continue
        things = tuple(
            Thing(shape, colour, rgb, centre, radius, _angle(shape, rng), _form(shape, rng))
            for (shape, colour), rgb, centre, radius in zip(kinds, shades, centres, radii, strict=True)
            if rgb is not None
        )
        return Scene(width, height, things, background)
