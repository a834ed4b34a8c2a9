"""M-RoPE: the position of each token in time, rows and columns.

Text counts all three alike. The tokens of a picture stand at their place in its grid of merged patches, and
what follows goes on after the picture's longest side. Source: transformers 5.23,
`Qwen2VLModel.get_rope_index`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hailo_vision.onnx.prompt import ImageSpan


def mrope_positions(length: int, spans: Sequence[ImageSpan], merge: int) -> tuple[NDArray[np.int64], int]:
    """Positions of `length` tokens, shape (3, 1, length), and the one that the next token gets.

    `spans` are in the prompt's order.
    """
    positions = np.empty((3, length), np.int64)
    done, position = 0, 0
    for span in spans:
        position = _text(positions, done, span.start, position)
        size = span.size(merge)
        done = span.start + size[0] * size[1] * size[2]
        positions[:, span.start : done] = np.indices(size).reshape(3, -1) + position
        position += max(size[1:])
    return positions[:, None], _text(positions, done, length, position)


def _text(positions: NDArray[np.int64], start: int, end: int, position: int) -> int:
    positions[:, start:end] = np.arange(position, position + end - start)
    return position + end - start
