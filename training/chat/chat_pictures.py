"""Scenes drawn at the size that Qwen2-VL's processor gives them: each keeps its aspect, grids differ."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hailo_common.images.resize import smart_resize
from training.chat.places import place_labels
from training.chat.qwen_model import FACTOR, MAX_PIXELS, MIN_PIXELS, patches_of
from training.florence.batches import flipped_labels
from training.scenes.dataset import Canvas, cell_labels, read_scenes
from training.scenes.scenes import Scene

Grid = tuple[int, int]


def native_size(scene: Scene) -> tuple[int, int]:
    """Width and height of the scene's picture after the processor's resize."""
    return smart_resize(
        scene.width, scene.height, factor=FACTOR, min_pixels=MIN_PIXELS, max_pixels=MAX_PIXELS
    )


NATIVE = Canvas((MAX_PIXELS * 3,), native_size)


@dataclass(frozen=True)
class Drawn:
    """Scenes and their pictures, `flat` uint8 [scenes, most bytes of a picture]."""

    scenes: list[Scene]
    flat: NDArray[np.uint8]

    def grid(self, index: int) -> Grid:
        """Rows and columns of image tokens."""
        width, height = native_size(self.scenes[index])
        return height // FACTOR, width // FACTOR

    def image(self, index: int) -> NDArray[np.uint8]:
        """One picture, uint8 [height, width, 3]."""
        rows, columns = self.grid(index)
        shape = rows * FACTOR, columns * FACTOR, 3
        return self.flat[index, : math.prod(shape)].reshape(shape)


def load_scenes(folder: Path, name: str) -> Drawn:
    """Scenes that were rendered on `NATIVE`."""
    return Drawn(*read_scenes(folder, name))


@dataclass(frozen=True)
class Batch:
    """Pictures of one grid: `patches` float32 [pictures, patches, 192], `labels` [pictures, cells, 70].

    `places` int64 [pictures, cells, 10] says who stands where.
    """

    grid: Grid
    patches: torch.Tensor
    labels: torch.Tensor
    places: torch.Tensor
    scenes: list[Scene]


class Images:
    """One process's share of the rendered scenes, in batches of one grid, with random flips."""

    def __init__(self, drawn: Drawn, indices: list[int], seed: int) -> None:
        self._drawn = drawn
        self._rng = random.Random(seed)
        self._by_grid: dict[Grid, list[int]] = defaultdict(list)
        for index in indices:
            self._by_grid[drawn.grid(index)].append(index)
        self._grids = [grid for grid, found in self._by_grid.items() if len(found) >= 32]
        self._shares = [len(self._by_grid[grid]) for grid in self._grids]

    def batch(self, size: int) -> Batch:
        """A grid drawn by how common it is, and `size` pictures of it."""
        grid = self._rng.choices(self._grids, self._shares)[0]
        chosen = self._rng.choices(self._by_grid[grid], k=size)
        images, labels, places, scenes = [], [], [], []
        for index in chosen:
            across, down = self._rng.random() < 0.5, self._rng.random() < 0.5
            step = (-1 if down else 1), (-1 if across else 1)
            scene = self._drawn.scenes[index]
            images.append(self._drawn.image(index)[:: step[0], :: step[1]])
            labels.append(flipped_labels(scene, cell_labels(scene, grid), grid, step))
            scenes.append(scene.mirrored(across, down))
            places.append(place_labels(scenes[-1], labels[-1]))
        patches = torch.from_numpy(patches_of(np.stack(images)))
        truth, order = (torch.from_numpy(np.stack(part)) for part in (labels, places))
        return Batch(grid, patches, truth, order, scenes)
