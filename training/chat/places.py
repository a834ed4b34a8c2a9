"""What an object's image tokens should know about the others: its rank from the left, who stands where.

Relations are learnt much faster where the vision part, which sees every token from every other one, is asked
for them than where only the answers ask.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional
from transformers import Qwen2VLForConditionalGeneration

from training.florence.objectives import CellHead
from training.scenes.language import RELATIONS, relation
from training.scenes.palette import COLOURS
from training.scenes.scenes import SHAPES, Scene, Thing

_UNASKED = -100  # what `cross_entropy` leaves out
_SIZES = (3, 3, *((len(SHAPES) + 1, len(COLOURS) + 1) * len(RELATIONS)))
_PULL = 8.0  # the score of a key a quarter turn away


class PlaceHead(CellHead):
    """The throw-away head of the chat model: `CellHead`, and what `place_labels` says."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.places = nn.Linear(width, sum(_SIZES))


@torch.no_grad()
def look_around(model: Qwen2VLForConditionalGeneration) -> None:
    """Let the four heads of the vision part's last block begin by looking left, right, up and down.

    Only the biases of query and key can say so, in the pairs that turn by 0.1 a patch (rotary angles are all
    that the vision part knows of places); grown step by step they would need thousands of steps.
    """
    attention = model.model.visual.blocks[-1].attn
    nn.init.xavier_uniform_(attention.qkv.weight)
    attention.qkv.bias.zero_()
    attention.proj.weight.mul_(0.1)
    size = attention.qkv.in_features // attention.num_heads
    length = (_PULL * size**0.5) ** 0.5
    query, key, _ = attention.qkv.bias.view(3, attention.num_heads, size)
    slow = 2  # the pair of 0.1: 10000 ** (-2 / 8)
    for head, (axis, sign) in enumerate(((1, 1), (1, -1), (0, 1), (0, -1))):
        pair = axis * size // 4 + slow
        key[head, pair] = length
        query[head, pair + size // 2] = -sign * length


def _row(scene: Scene, thing: Thing) -> list[int]:
    ordered = sorted(scene.things, key=lambda other: other.centre[0])
    row = [ordered.index(thing), len(ordered) - 1]
    for word in RELATIONS:
        found = [other for other in scene.things if other is not thing and relation(other, thing) == word]
        if len(found) > 1:
            row += [_UNASKED, _UNASKED]
        elif found:
            row += [SHAPES.index(found[0].shape), COLOURS.index(found[0].colour)]
        else:
            row += [len(SHAPES), len(COLOURS)]
    return row


def place_labels(scene: Scene, labels: NDArray[np.float32]) -> NDArray[np.int64]:
    """For each cell: rank from the left, other objects, shape and colour in each of `RELATIONS`.

    int64 [cells, 10] of the cells' labels, float32 [cells, 6 or more] (see `cell_labels`). Shape 4 and colour
    8 mean nobody, -100 that it is not asked: several stand there, or the cell shows no object.
    """
    made = np.full((len(labels), len(_SIZES)), _UNASKED, dtype=np.int64)
    for thing in scene.things:
        shape, colour = SHAPES.index(thing.shape), COLOURS.index(thing.colour)
        made[(labels[:, 0] == shape) & (labels[:, 1] == colour)] = _row(scene, thing)
    return made


def place_loss(
    head: PlaceHead, features: torch.Tensor, labels: torch.Tensor, share: torch.Tensor
) -> tuple[torch.Tensor, float]:
    """Mean cross-entropy over the objects, and the share of right ones among the shapes in relations.

    `features` float [pictures, cells, width], `labels` int64 [pictures, cells, 10], `share` float32
    [pictures, cells]: one over the number of the object's cells.
    """
    on = labels[..., 0] >= 0
    truth, weight = labels[on], share[on]
    parts = head.places(features[on]).float().split(_SIZES, dim=-1)
    total, right = torch.zeros(()), []
    for column, scores in enumerate(parts):
        losses = functional.cross_entropy(scores, truth[:, column], reduction="none", ignore_index=_UNASKED)
        total = total + (losses * weight).sum() / weight.sum()
        if column >= 2 and column % 2 == 0:
            asked = (truth[:, column] >= 0) & (truth[:, column] < len(SHAPES))
            right.append((scores[asked].argmax(-1) == truth[asked, column]).float().mean())
    return total / len(_SIZES), float(torch.stack(right).mean())
