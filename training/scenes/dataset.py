"""Rendered scenes on disk: pictures as one array, scenes beside it, labels for each image token."""

from __future__ import annotations

import multiprocessing
import pickle
import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.florence.model import GRID, IMAGE_SIZE
from training.scenes.palette import COLOURS
from training.scenes.render import view
from training.scenes.scenes import SHAPES, Scene, sample_scene

MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)


@dataclass(frozen=True)
class Recipe:
    """How scenes are drawn; `seeds` begins the seed of each, the rest is for `sample_scene` and `view`."""

    seeds: str
    margin: float = 0.1
    mixed: float = 0.0
    jpegs: float = 0.4


@dataclass(frozen=True)
class Canvas:
    """Room for one picture in the array on disk, and the size (width, height) that a scene is drawn at."""

    shape: tuple[int, ...]
    size: Callable[[Scene], tuple[int, int]]


@dataclass(frozen=True)
class Drawn:
    """Scenes and what the model sees of them: `pictures` is uint8 [scenes, 128, 128, 3]."""

    scenes: list[Scene]
    images: NDArray[np.uint8]


def _square(_: Scene) -> tuple[int, int]:
    return IMAGE_SIZE, IMAGE_SIZE


SQUARE = Canvas((IMAGE_SIZE, IMAGE_SIZE, 3), _square)


def _draw_range(job: tuple[Path, int, int, int, Recipe, Canvas]) -> list[Scene]:
    path, total, first, last, recipe, canvas = job
    images = np.lib.format.open_memmap(path, mode="r+", shape=(total, *canvas.shape))
    scenes = []
    for index in range(first, last):
        rng = random.Random(f"{recipe.seeds}-{index}")
        scene = sample_scene(rng, recipe.margin, recipe.mixed)
        image = view(scene, canvas.size(scene), rng, recipe.jpegs)
        images[index].reshape(-1)[: image.size] = image.ravel()
        scenes.append(scene)
    images.flush()
    return scenes


def draw_scenes(
    folder: Path, name: str, total: int, *, recipe: Recipe, canvas: Canvas, processes: int = 2
) -> None:
    """Render scenes into `folder`, unless that was done before."""
    folder.mkdir(parents=True, exist_ok=True)
    path, listing = folder / f"{name}.npy", folder / f"{name}.pkl"
    if listing.exists():
        return
    np.lib.format.open_memmap(path, "w+", np.uint8, (total, *canvas.shape)).flush()
    bounds = [*range(0, total, 500), total]
    jobs = [(path, total, first, last, recipe, canvas) for first, last in pairwise(bounds)]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        scenes = [scene for part in pool.imap(_draw_range, jobs) for scene in part]
    listing.write_bytes(pickle.dumps(scenes))


def read_scenes(folder: Path, name: str) -> tuple[list[Scene], NDArray[np.uint8]]:
    """What `draw_scenes` rendered: scenes, and the array of their pictures, which stays on disk."""
    scenes = pickle.loads((folder / f"{name}.pkl").read_bytes())
    return scenes, np.load(folder / f"{name}.npy", mmap_mode="r")


def load_scenes(folder: Path, name: str) -> Drawn:
    """Scenes that were rendered on `SQUARE`."""
    return Drawn(*read_scenes(folder, name))


def normalised(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pixel values as Florence wants them: float32 [pictures, 3, 128, 128] from uint8 [.., 128, 128, 3]."""
    scaled = (images.astype(np.float32) / 255 - MEAN) / STD
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))


def cell_labels(scene: Scene, grid: tuple[int, int] = (GRID, GRID)) -> NDArray[np.float32]:
    """What each cell of a grid (rows, columns) shows, float32 [cells, 6]; -1 as shape means ground.

    Columns: shape, colour, whether it holds an object's centre, offset to that centre (x, y, in cells),
    one over the number of the object's cells.
    """
    high, wide = grid
    labels = np.zeros((high, wide, 6), dtype=np.float32)
    labels[..., 0] = -1
    rows, columns = np.mgrid[0:high, 0:wide] + 0.5
    centres = []
    for thing in sorted(scene.things, key=lambda thing: -thing.radius):
        x, y = thing.centre[0] / scene.width * wide, thing.centre[1] / scene.height * high
        across, down = 0.85 * thing.radius * wide / scene.width, 0.85 * thing.radius * high / scene.height
        inside = ((columns - x) / across) ** 2 + ((rows - y) / down) ** 2 <= 1
        cell = min(high - 1, max(0, int(y))), min(wide - 1, max(0, int(x)))
        inside[cell] = True
        centres.append(cell)
        labels[inside, 0], labels[inside, 1] = SHAPES.index(thing.shape), COLOURS.index(thing.colour)
        labels[inside, 5] = 1 / inside.sum()
        labels[inside, 3], labels[inside, 4] = (x - columns)[inside], (y - rows)[inside]
    for cell in centres:
        labels[(*cell, 2)] = 1
    return labels.reshape(high * wide, 6)
