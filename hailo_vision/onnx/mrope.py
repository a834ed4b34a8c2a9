"""M-RoPE: the position of each token in time, rows and columns.

Text counts all three alike. The tokens of a picture stand at their place in its grid of merged patches, and
what follows goes on after the picture's longest side. Source: transformers 5.23,
`Qwen2VLModel.get_rope_index`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hailo_vision.onnx.preprocess import Grid


@dataclass(frozen=True)
class ImageSpan:
    """Where a picture stands in a prompt: its first token, and its grid of patches before merging."""

    start: int
    grid: Grid

    def size(self, merge: int) -> tuple[int, int, int]:
        """The grid of tokens: in time, from top to bottom, from left to right."""
        return self.grid[0], self.grid[1] // merge, self.grid[2] // merge


def mrope_positions(length: int, places: Sequence[ImageSpan], merge: int) -> tuple[NDArray[np.int64], int]:
    """Positions of `length` tokens, shape (3, 1, length), and the one that the next token gets.

    `places` are in the prompt's order.
    """
    made = np.empty((3, length), np.int64)
    done, position = 0, 0
    for place in places:
        position = _text(made, done, place.start, position)
        size = place.size(merge)
        done = place.start + size[0] * size[1] * size[2]
        made[:, place.start : done] = np.indices(size).reshape(3, -1) + position
        position += max(size[1:])
    return made[:, None], _text(made, done, length, position)


def _text(made: NDArray[np.int64], start: int, end: int, position: int) -> int:
    made[:, start:end] = np.arange(position, position + end - start)
    return position + end - start
