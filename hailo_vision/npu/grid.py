"""Several images in the one frame of a model that takes no more: smaller, side by side, and told as such."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hailo_common.engine.contract import RgbImage
from hailo_vision.protocol import ChatMessage

MOST = 16
"""Images of a grid: four times four."""
_TOLD = "The picture is a grid of {count} pictures, numbered from left to right and from top to bottom."
_NUMBERED = "(picture {number})"


def grid(images: Sequence[RgbImage]) -> RgbImage:
    """One image of the size that each of the 1 to `MOST` images has, black where there is none.

    A cell is a half or a quarter of a side; its pixels are the means of those that it stands for.
    """
    side = 1 if len(images) == 1 else 2 if len(images) <= 4 else 4
    height, width, channels = images[0].shape
    rows, columns = height // side, width // side
    made = np.zeros((height, width, channels), np.uint8)
    for number, image in enumerate(images):
        blocks = image[: rows * side, : columns * side].reshape(rows, side, columns, side, channels)
        top, left = number // side * rows, number % side * columns
        made[top : top + rows, left : left + columns] = np.rint(blocks.mean(axis=(1, 3)))
    return made


def gridded(messages: Sequence[ChatMessage], count: int) -> list[ChatMessage]:
    """The messages of a request of `count` images for the grid of them: it stands where the first one was."""
    return [replace(message, parts=tuple(_parts(message, count))) for message in messages]


def _parts(message: ChatMessage, count: int) -> list[str | int]:
    parts: list[str | int] = []
    for part in message.parts:
        if isinstance(part, str):
            parts.append(part)
        elif part == 0:
            parts += [0, _TOLD.format(count=count)]
        else:
            parts.append(_NUMBERED.format(number=part + 1))
    return parts
