"""The pictures of one request, as the pipeline carries them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b

import numpy as np

from hailo_common.engine.contract import Picture
from hailo_vision.preprocess import Grid, PictureSettings


@dataclass(frozen=True, eq=False)
class Shown:
    """A picture with its grid of patches and the number of tokens that it takes."""

    pixels: Picture
    grid: Grid
    tokens: int

    @cached_property
    def digest(self) -> bytes:
        """What only this picture has, whoever sends it."""
        pixels = np.ascontiguousarray(self.pixels).data.cast("B")
        return blake2b(pixels, digest_size=20, salt=b"%dx%d" % self.grid[1:]).digest()


def show(picture: Picture, settings: PictureSettings) -> Shown:
    """Raises ValueError for a picture that the decoder process did not make for `settings`."""
    grid = settings.grid(picture)
    return Shown(picture, grid, settings.tokens(grid))
