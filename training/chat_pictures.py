"""Scenes drawn at the size that Qwen2-VL's processor gives them: each keeps its aspect, grids differ."""

from __future__ import annotations

import math
import multiprocessing
import pickle
import random
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from training.batches import flipped_labels
from training.dataset import cell_labels
from training.qwen_model import FACTOR, MAX_PIXELS, MIN_PIXELS, patches_of
from training.render import view
from training.scenes import Scene, sample_scene

Grid = tuple[int, int]


def native_size(width: int, height: int) -> tuple[int, int]:
    """Width and height after the processor's resize: multiples of the factor within the pixel bounds.

    Source: `smart_resize` of transformers' Qwen2-VL image processor.
    """
    wide, high = round(width / FACTOR) * FACTOR, round(height / FACTOR) * FACTOR
    if wide * high > MAX_PIXELS:
        shrink = math.sqrt(width * height / MAX_PIXELS)
        return (
            max(FACTOR, math.floor(width / shrink / FACTOR) * FACTOR),
            max(FACTOR, math.floor(height / shrink / FACTOR) * FACTOR),
        )
    if wide * high < MIN_PIXELS:
        grow = math.sqrt(MIN_PIXELS / (width * height))
        return math.ceil(width * grow / FACTOR) * FACTOR, math.ceil(height * grow / FACTOR) * FACTOR
    return wide, high


@dataclass(frozen=True)
class Drawn:
    """Scenes and their pictures, `flat` uint8 [scenes, most bytes of a picture]."""

    scenes: list[Scene]
    flat: NDArray[np.uint8]

    def grid(self, index: int) -> Grid:
        """Rows and columns of image tokens."""
        width, height = native_size(self.scenes[index].width, self.scenes[index].height)
        return height // FACTOR, width // FACTOR

    def picture(self, index: int) -> NDArray[np.uint8]:
        """One picture, uint8 [height, width, 3]."""
        rows, columns = self.grid(index)
        shape = rows * FACTOR, columns * FACTOR, 3
        return self.flat[index, : math.prod(shape)].reshape(shape)


def _draw_range(job: tuple[Path, int, int, int, int, float, float, float]) -> list[Scene]:
    path, total, first, last, seed, margin, mixed, jpegs = job
    flat = np.lib.format.open_memmap(path, mode="r+", shape=(total, MAX_PIXELS * 3))
    scenes = []
    for index in range(first, last):
        rng = random.Random(f"chat-{seed}-{index}")
        scene = sample_scene(rng, margin, mixed)
        picture = view(scene, native_size(scene.width, scene.height), rng, jpegs)
        flat[index, : picture.size] = picture.ravel()
        scenes.append(scene)
    flat.flush()
    return scenes


def draw_scenes(
    folder: Path,
    name: str,
    total: int,
    seed: int,
    *,
    margin: float = 0.1,
    mixed: float = 0.5,
    processes: int = 2,
) -> Drawn:
    """Render scenes into `folder`, or load them where that was done before."""
    folder.mkdir(parents=True, exist_ok=True)
    path, listing = folder / f"{name}.npy", folder / f"{name}.pkl"
    if not listing.exists():
        np.lib.format.open_memmap(path, "w+", np.uint8, (total, MAX_PIXELS * 3)).flush()
        bounds = [*range(0, total, 500), total]
        jobs = [(path, total, first, last, seed, margin, mixed, 0.4) for first, last in pairwise(bounds)]
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            scenes = [scene for part in pool.imap(_draw_range, jobs) for scene in part]
        listing.write_bytes(pickle.dumps(scenes))
    return load_scenes(folder, name)


def load_scenes(folder: Path, name: str) -> Drawn:
    """Scenes that `draw_scenes` rendered; pictures stay on disk."""
    scenes = pickle.loads((folder / f"{name}.pkl").read_bytes())
    return Drawn(scenes, np.load(folder / f"{name}.npy", mmap_mode="r"))


@dataclass(frozen=True)
class Batch:
    """Pictures of one grid: `patches` float32 [pictures, patches, 192], `labels` [pictures, cells, 70]."""

    grid: Grid
    patches: torch.Tensor
    labels: torch.Tensor
    scenes: list[Scene]


class Pictures:
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
        pictures, labels, scenes = [], [], []
        for index in chosen:
            across, down = self._rng.random() < 0.5, self._rng.random() < 0.5
            step = (-1 if down else 1), (-1 if across else 1)
            scene = self._drawn.scenes[index]
            pictures.append(self._drawn.picture(index)[:: step[0], :: step[1]])
            labels.append(flipped_labels(scene, cell_labels(scene, grid), grid, step))
            scenes.append(scene.mirrored(across, down))
        patches = torch.from_numpy(patches_of(np.stack(pictures)))
        return Batch(grid, patches, torch.from_numpy(np.stack(labels)), scenes)
