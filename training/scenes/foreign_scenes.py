"""A second, independent way to lay out scenes; only for measuring, never trained on.

Like `foreign_drawing` it shares no code with `scenes`, `backgrounds`, `palette` and `render` but the
records that words are made from: CSS colours, usual picture sizes, other rules for places and contrast.
"""

from __future__ import annotations

import math
import random

from PIL import ImageColor

from training.scenes.backgrounds import Background
from training.scenes.scenes import Scene, Thing

IMAGE_SIZES = (
    (640, 480),
    (480, 640),
    (800, 600),
    (320, 240),
    (256, 256),
    (512, 512),
    (1280, 720),
    (200, 300),
    (128, 96),
    (1000, 1500),
    (1920, 1080),
)
CSS = {
    "red": ("red", "crimson", "firebrick"),
    "green": ("green", "lime", "forestgreen", "limegreen"),
    "blue": ("blue", "royalblue", "dodgerblue", "mediumblue"),
    "yellow": ("yellow", "gold"),
    "purple": ("purple", "rebeccapurple", "darkviolet"),
    "orange": ("orange", "darkorange"),
    "black": ("black", "#101010"),
    "white": ("white", "#fafafa"),
}
GROUNDS = [
    "white",
    "black",
    "gray",
    "lightgray",
    "dimgray",
    "silver",
    "whitesmoke",
    "#202020",
    "lightblue",
    "beige",
    "pink",
    "navy",
    "teal",
    "olive",
    "sienna",
    "tan",
    "plum",
    "darkslategray",
    "lavender",
    "khaki",
    "midnightblue",
    "maroon",
    "seashell",
    "steelblue",
    "darkolivegreen",
]
MARGIN = 1.2  # the longer distance between two centres over the shorter, in pixels

Rgb = tuple[int, int, int]


def _css(name: str) -> Rgb:
    red, green, blue = ImageColor.getrgb(name)[:3]
    return red, green, blue


def _far(one: Rgb, other: Rgb) -> bool:
    """Whether two colours differ clearly: weighted RGB distance over 120."""
    red, green, blue = (first - second for first, second in zip(one, other, strict=True))
    return math.sqrt(2 * red**2 + 4 * green**2 + 3 * blue**2) / 1.5 > 120


def _centres(radii: list[float], width: int, height: int, rng: random.Random) -> list[tuple[float, float]]:
    """Each object in its own random cell of a 3 x 3 grid, or anywhere where that fits better."""
    for _ in range(200):
        centres = [
            (rng.uniform(radius + 1, width - radius - 1), rng.uniform(radius + 1, height - radius - 1))
            for radius in radii
        ]
        pairs = [(one, other) for one in range(len(radii)) for other in range(one)]
        apart = all(
            math.dist(centres[one], centres[other]) > radii[one] + radii[other] + 2 for one, other in pairs
        )
        if apart and all(_clear(centres[one], centres[other], width, len(radii)) for one, other in pairs):
            return centres
    return []


def _clear(one: tuple[float, float], other: tuple[float, float], width: int, count: int) -> bool:
    """Whether the order of a pair is no near-tie: the axis for two objects, left to right for three."""
    across, down = sorted((abs(one[0] - other[0]), abs(one[1] - other[1])))
    if count == 2:
        return down > MARGIN * across
    return abs(one[0] - other[0]) > 0.05 * width


def _things(count: int, width: int, height: int, ground: list[Rgb], rng: random.Random) -> list[Thing]:
    short = min(width, height)
    radii = [short * rng.uniform(0.08, {1: 0.45, 2: 0.4, 3: 0.33}[count]) / 2 for _ in range(count)]
    things: list[Thing] = []
    for radius, centre in zip(radii, _centres(radii, width, height, rng), strict=False):
        for _ in range(50):
            colour, shape = rng.choice(list(CSS)), rng.choice(("circle", "square", "triangle", "star"))
            rgb = _css(rng.choice(CSS[colour]))
            new = all((thing.shape, thing.colour) != (shape, colour) for thing in things)
            if new and all(_far(rgb, other) for other in ground):
                angle = rng.choice((0.0, 0.0, rng.uniform(0, 360)))
                form = (
                    rng.uniform(0.38, 0.6) if shape == "star" else rng.choice((0.866, rng.uniform(0.9, 1.3)))
                )
                things.append(Thing(shape, colour, rgb, centre, radius, angle, form))
                break
    return things


def foreign_scene(rng: random.Random) -> Scene:
    """One to three objects of different kinds on a ground of one or two CSS colours."""
    while True:
        width, height = rng.choice(IMAGE_SIZES)
        ground = [_css(rng.choice(GROUNDS)) for _ in range(rng.choice((1, 1, 2)))]
        count = rng.randint(1, 3)
        things = _things(count, width, height, ground, rng)
        if len(things) == count:
            kind = "plain" if len(ground) == 1 else rng.choice(("linear", "radial"))
            return Scene(width, height, tuple(things), Background(kind, tuple(ground), 0.0, "none", 0.0))
