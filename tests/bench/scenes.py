"""How often the measure of scene change is wrong: static scenes that count as changed, changes that do not.

`python -m tests.bench.scenes [--static 10000] [--changes 1000]` prints a Markdown table. The scenes are made
here: rooms of rectangles and ellipses on fractal noise, and the photo of docs/, as a camera sees them: noise
of its own for every frame, JPEG, and light that drifts in brightness, contrast, colour and from the side.
Some cameras shake.
"""

from __future__ import annotations

import argparse
import io
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from hailo_common.config.common_keys import CommonSettings
from hailo_common.images.decode import decode
from hailo_common.images.scene import FRAME, FollowedScene, Scene
from hailo_common.service import image_limits
from hailo_florence.config import FlorenceSettings

WIDTH, HEIGHT = 320, 240
SEQUENCE = 500
"""Frames of one static scene."""
KINDS = ("appears", "moves", "leaves")
_VISIBLE = 25.0
"""Levels by which a thing must differ from what it covers, on the whole, for a person to see it well."""
_SAMPLE = Path(__file__).parents[2] / "docs" / "sample.jpg"
_LIMITS = image_limits(CommonSettings())
Pixels = NDArray[np.float32]
Rng = np.random.Generator


@dataclass(frozen=True)
class Light:
    """How a scene is lit: brightness and contrast, colour, and from which side."""

    gain: float = 1.0
    offset: float = 0.0
    warmth: float = 0.0
    side: float = 0.0

    def on(self, pixels: Pixels) -> Pixels:
        """The scene in this light."""
        slope = np.linspace(1 - self.side, 1 + self.side, pixels.shape[1], dtype=np.float32)[None, :, None]
        colour = np.array([1 + self.warmth, 1, 1 - self.warmth], np.float32)
        return pixels * (self.gain * slope * colour) + np.float32(self.offset)


@dataclass(frozen=True)
class Camera:
    """What a camera adds: noise (standard deviation in levels), JPEG's quality, pixels by which it shakes."""

    noise: float
    quality: int
    shake: int

    @classmethod
    def some(cls, rng: Rng) -> Camera:
        """Any camera: good ones, cheap ones, those on a mast."""
        return cls(
            rng.uniform(1, 10), int(rng.integers(35, 96)), int(rng.choice([0, 0, 1], p=[0.35, 0.35, 0.3]))
        )

    def frame(self, pixels: Pixels, rng: Rng) -> bytes:
        """A JPEG file of it."""
        dx, dy = rng.integers(-self.shake, self.shake + 1, 2)
        padded = np.pad(pixels, ((1, 1), (1, 1), (0, 0)), "edge")
        moved = padded[1 + dy : 1 + dy + HEIGHT, 1 + dx : 1 + dx + WIDTH]
        noisy = moved + rng.standard_normal(pixels.shape, np.float32) * np.float32(self.noise)
        file = io.BytesIO()
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=self.quality)
        return file.getvalue()


def background(rng: Rng) -> Image.Image:
    """A room or a yard: noise of all sizes, things with edges."""
    if rng.random() < 0.1:
        return Image.open(_SAMPLE).convert("RGB").resize((WIDTH, HEIGHT))
    layers = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    for size in (3, 6, 12, 24, 48, 96):
        small = rng.uniform(-1, 1, (size, size, 3)).astype(np.float32)
        planes = [
            Image.fromarray(small[..., c]).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC) for c in range(3)
        ]
        layers += np.stack([np.asarray(plane) for plane in planes], -1) * (40 / size**0.5)
    base = Image.fromarray((rng.uniform(60, 190, 3) + layers).clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(base)
    for _ in range(int(rng.integers(2, 14))):
        x, y = rng.integers(0, WIDTH), rng.integers(0, HEIGHT)
        box = (int(x), int(y), int(x + rng.integers(8, 140)), int(y + rng.integers(8, 110)))
        draw_one = draw.rectangle if rng.random() < 0.7 else draw.ellipse
        draw_one(box, fill=tuple(map(int, rng.integers(10, 245, 3))))
    return base.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 1.2))))


def light(rng: Rng) -> Light:
    """Any light of a day in which a camera still sees well."""
    return Light(rng.uniform(0.8, 1.2), rng.uniform(-8, 8), rng.uniform(-0.06, 0.06), rng.uniform(-0.1, 0.1))


def drift(rng: Rng) -> Iterator[Light]:
    """Light that changes slowly and for ever."""
    periods, phases = rng.uniform(150, 900, 4), rng.uniform(0, 2 * np.pi, 4)
    most = rng.uniform(0, 1, 4) * (0.25, 10, 0.08, 0.15)
    for time in itertools.count():
        gain, offset, warmth, side = most * np.sin(2 * np.pi * time / periods + phases)
        yield Light(1 + gain, offset, warmth, side)


def thing(rng: Rng, size: float) -> Image.Image:
    """Something of about this many pixels, with a texture: a mask in its fourth band."""
    ratio = float(rng.uniform(0.4, 2.5))
    shape, share = (("rectangle", 1.0), ("ellipse", np.pi / 4))[int(rng.integers(2))]
    width = max(4, round((size / share * ratio) ** 0.5))
    height = max(4, round(size / share / width))
    colour = rng.integers(0, 256, 3)
    grain = rng.normal(0, rng.uniform(0, 25), (height, width, 1))
    pixels = (colour + grain).clip(0, 255).astype(np.uint8)
    mask = Image.new("L", (width, height))
    getattr(ImageDraw.Draw(mask), shape)((0, 0, width - 1, height - 1), fill=255)
    made = Image.fromarray(pixels).convert("RGBA")
    made.putalpha(mask)
    return made


def placed(scene: Image.Image, what: Image.Image, rng: Rng) -> Image.Image | None:
    """The scene with the thing in it somewhere; None where nobody would see it."""
    place = (int(rng.integers(0, WIDTH - what.width)), int(rng.integers(0, HEIGHT - what.height)))
    made = scene.copy()
    made.paste(what, place, what)
    inside = np.s_[place[1] : place[1] + what.height, place[0] : place[0] + what.width]
    seen = np.asarray(what)[..., 3] > 0
    off = np.abs(np.asarray(made, np.float32)[inside][seen] - np.asarray(scene, np.float32)[inside][seen])
    return made if off.mean(0).max() >= _VISIBLE else None


def change(rng: Rng) -> tuple[str, float, Image.Image, Image.Image]:
    """How a scene changes, the share of the picture that does, and the two states of it."""
    kind = KINDS[int(rng.integers(3))]
    share = 0.02 * float(rng.uniform(1, 5) if rng.random() < 0.3 else rng.uniform(1, 1.5))
    while True:
        scene = background(rng)
        what = thing(rng, share * WIDTH * HEIGHT)
        if what.width >= WIDTH or what.height >= HEIGHT:
            continue
        one, two = placed(scene, what, rng), placed(scene, what, rng)
        if one is None or two is None:
            continue
        # What moves leaves a place and takes another; each is the share.
        return kind, share, *{"appears": (scene, one), "leaves": (one, scene), "moves": (one, two)}[kind]


def pixels_of(image: Image.Image) -> Pixels:
    """As numbers that light can change."""
    return np.asarray(image, np.float32)


def seen(file: bytes) -> bytes:
    """What the decoder process makes of a frame."""
    return decode(file, FRAME, _LIMITS).rgb


def false_changes(count: int, threshold: float, rng: Rng) -> tuple[int, float]:
    """How many of so many frames of static scenes count as changed, and the largest distance of others."""
    wrong, largest = 0, 0.0
    for start in range(0, count, SEQUENCE):
        pixels, camera = pixels_of(background(rng)), Camera.some(rng)
        last: FollowedScene | None = None
        for _, lit in zip(range(min(SEQUENCE, count - start)), drift(rng), strict=False):
            frame = seen(camera.frame(lit.on(pixels), rng))
            compared = last.follow(frame, threshold) if last else None
            if compared is not None and compared < threshold:
                largest = max(largest, compared)
                continue
            wrong += compared is not None
            last = FollowedScene(frame)
    return wrong, largest


def found_changes(count: int, threshold: float, rng: Rng) -> tuple[Counter[str], Counter[str], list[float]]:
    """How many changes of each kind there were, how many were found, and all distances in order."""
    made, found, distances = Counter[str](), Counter[str](), []
    for _ in range(count):
        kind, _, before, after = change(rng)
        camera, lit = Camera.some(rng), light(rng)
        other = Light(
            lit.gain * rng.uniform(0.92, 1.08), lit.offset, lit.warmth + rng.uniform(-0.02, 0.02), lit.side
        )
        first, second = (
            seen(camera.frame(each.on(pixels_of(image)), rng))
            for image, each in ((before, lit), (after, other))
        )
        distances.append(Scene(first).compare(second).distance)
        made[kind] += 1
        found[kind] += distances[-1] >= threshold
    return made, found, sorted(distances)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--static", type=int, default=10_000)
    parser.add_argument("--changes", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threshold", type=float, default=FlorenceSettings.scene_threshold)
    asked = parser.parse_args()
    wrong, largest = false_changes(asked.static, asked.threshold, np.random.default_rng(asked.seed))
    made, found, distances = found_changes(
        asked.changes, asked.threshold, np.random.default_rng(asked.seed + 1)
    )
    print("| what | measured | wanted |\n|---|---|---|")
    share = 100 * wrong / max(1, asked.static)
    print(f"| false changes, {asked.static:,} frames | {wrong} = **{share:.2f} %** | ≤ 0.5 % |")
    print(f"| largest distance of the others | {largest:.4f} | |")
    for kind in KINDS:
        print(f"| a thing {kind}: found | {found[kind]} of {made[kind]} | |")
    total = 100 * sum(found.values()) / max(1, asked.changes)
    print(f"| all of them | **{total:.1f} %** | ≥ 99 % |")
    low = ", ".join(f"{each:.4f}" for each in distances[:12])
    print(f"| their smallest distances | {low} | |")


if __name__ == "__main__":
    main()
