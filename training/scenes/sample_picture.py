"""Draw the picture of the README's examples: `python -m training.scenes.sample_picture docs/sample.jpg`."""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

SIZE = (640, 480)
CIRCLE, SQUARE = (205, 255, 95), (445, 245, 80)  # centre and half width in pixels
Fill = int | tuple[int, int, int]
RED, BLUE = (214, 40, 40), (29, 78, 216)


def _box(place: tuple[int, int, int], scale: int, lower: int = 0) -> tuple[int, int, int, int]:
    x, y, half = (number * scale for number in place)
    return x - half, y - half + lower, x + half, y + half + lower


def _shapes(image: Image.Image, scale: int, colours: tuple[Fill, Fill], lower: int = 0) -> None:
    draw = ImageDraw.Draw(image)
    draw.ellipse(_box(CIRCLE, scale, lower), fill=colours[0])
    draw.rounded_rectangle(_box(SQUARE, scale, lower), radius=4 * scale, fill=colours[1])


def sample_picture() -> Image.Image:
    """A red circle to the left of a blue square on a light ground, RGB, 640 x 480 pixels."""
    scale = 4
    size = SIZE[0] * scale, SIZE[1] * scale
    ramp = Image.linear_gradient("L").resize(SIZE)
    ground = Image.composite(
        Image.new("RGB", SIZE, (203, 213, 225)), Image.new("RGB", SIZE, (248, 250, 252)), ramp
    )
    shadow = Image.new("L", size, 0)
    _shapes(shadow, scale, (60, 60), lower=8 * scale)
    soft = shadow.resize(SIZE, Image.Resampling.LANCZOS).filter(ImageFilter.GaussianBlur(7))
    ground.paste((71, 85, 105), (0, 0), soft)
    large = ground.resize(size, Image.Resampling.BICUBIC)
    _shapes(large, scale, (RED, BLUE))
    return large.resize(SIZE, Image.Resampling.LANCZOS)


def main() -> None:
    """Write the picture as a JPEG file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    sample_picture().save(parser.parse_args().out, "JPEG", quality=90)


if __name__ == "__main__":
    main()
