"""Shape operations that the tracer would otherwise spell out node by node."""

from __future__ import annotations

from typing import Any

import torch


class _Reshape(torch.autograd.Function):
    """ONNX's Reshape: 0 keeps the size at its place and -1 is what remains, whatever the sizes are."""

    @staticmethod
    def forward(_: Any, states: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
        return states.reshape(
            [states.shape[place] if size == 0 else size for place, size in enumerate(shape)]
        )

    @staticmethod
    def symbolic(graph: Any, states: Any, shape: tuple[int, ...]) -> Any:
        return graph.op("Reshape", states, graph.op("Constant", value_t=torch.tensor(shape)))


def reshape(states: torch.Tensor, *shape: int) -> torch.Tensor:
    """`states` in another shape: 0 stands for the size that is at its place now, and one size must be -1."""
    made: torch.Tensor = _Reshape.apply(states, shape)
    return made


def turned(states: torch.Tensor, head: int, cosines: torch.Tensor, sines: torch.Tensor) -> torch.Tensor:
    """Rotary positions: `states` [..., head] turned by what `angles` gives."""
    first, second = states.split(head // 2, dim=-1)
    return states * cosines + torch.cat([second, first], dim=-1) * sines


def angles(turns: torch.Tensor, scale: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines for `turned`, [..., head], from angles [..., head / 2] in radians.

    The sines of the first half are negated, since that half takes what the second one gives.
    """
    cosines, sines = turns.cos() * scale, turns.sin() * scale
    return torch.cat([cosines, cosines], dim=-1), torch.cat([-sines, sines], dim=-1)
