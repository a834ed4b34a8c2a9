"""The picture that the eye's tests look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.eye.nanodet import DEVIATION, MEAN, SIDE

DATA = Path(__file__).parent.parent / "data" / "eye"
PICTURE = DATA / "astronaut.png"
"""Eileen Collins, 104 x 104 pixels; NASA, in the public domain, by way of scikit-image."""
EVERY = 61
"""One of so many numbers is kept of what the source makes of it."""


def enlarged(path: Path) -> NDArray[np.uint8]:
    """(416, 416, 3), each pixel four times four: the same whatever resizes elsewhere."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    times = SIDE // len(pixels)
    return pixels.repeat(times, axis=0).repeat(times, axis=1)


def normalised(path: Path) -> NDArray[np.float32]:
    """[1, 3, 416, 416] as the detector's source takes it: blue, green, red."""
    mean, deviation = (np.array(values, np.float32) for values in (MEAN, DEVIATION))
    values = (enlarged(path).astype(np.float32) - mean) / deviation
    return np.ascontiguousarray(values.transpose(2, 0, 1)[None, ::-1])
