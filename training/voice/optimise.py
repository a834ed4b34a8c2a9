"""Two optimisers side by side: matrices are turned, everything else follows AdamW.

The update of a matrix is its momentum with all singular values made alike (Newton-Schulz iteration; the
method is known as Muon). So attention learns in fewer samples, and samples are what one core lacks.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from torch import nn

MOMENTUM, ITERATIONS = 0.95, 5
_A, _B, _C = 3.4445, -4.7750, 2.0315


def orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """[n, rows, columns] with singular values near 1, rows not more than columns."""
    found = matrices.bfloat16()
    found = found / (found.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(ITERATIONS):
        square = found @ found.transpose(1, 2)
        found = _A * found + (_B * square + _C * square @ square) @ found
    return found.float()


class Turning:
    """Momentum of matrices, and their steps."""

    def __init__(self, matrices: list[nn.Parameter], decay: float = 0.01) -> None:
        self._groups: dict[tuple[int, ...], list[nn.Parameter]] = defaultdict(list)
        for matrix in matrices:
            self._groups[tuple(matrix.shape)].append(matrix)
        self._momentum = {shape: torch.zeros(len(own), *shape) for shape, own in self._groups.items()}
        self._decay = decay

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """One step along the gradients, of the size `rate` in each direction."""
        for shape, own in self._groups.items():
            gradients = torch.stack([torch.zeros(shape) if each.grad is None else each.grad for each in own])
            momentum = self._momentum[shape].mul_(MOMENTUM).add_(gradients, alpha=1 - MOMENTUM)
            ahead = gradients.lerp(momentum, MOMENTUM)
            tall = shape[0] > shape[1]
            turned = orthogonal(ahead.transpose(1, 2) if tall else ahead)
            turned = turned.transpose(1, 2) if tall else turned
            scale = max(1.0, shape[0] / shape[1]) ** 0.5
            for matrix, update in zip(own, turned, strict=True):
                matrix.mul_(1 - rate * self._decay).add_(update, alpha=-rate * scale)

    def forget(self) -> None:
        """Drop the gradients."""
        for own in self._groups.values():
            for matrix in own:
                matrix.grad = None

    def state(self) -> list[torch.Tensor]:
        """The momentum, to be kept."""
        return list(self._momentum.values())

    def restore(self, state: list[torch.Tensor]) -> None:
        """The momentum that `state` gave."""
        for own, kept in zip(self._momentum.values(), state, strict=True):
            own.copy_(kept)


def rate_at(step: int, steps: int, decay: int, rise: int) -> float:
    """Share of the full rate: it rises in the first `rise` steps and falls to a fiftieth in the last `decay`.

    With a `decay` of 0 it does not fall.
    """
    fall = min(1.0, max(0.02, (steps - step) / decay)) if decay else 1.0
    return min(1.0, (step + 1) / rise) * fall


class Optimiser:
    """Matrices inside the layers by `Turning`, embeddings, norms and biases by AdamW."""

    def __init__(self, matrices: list[nn.Parameter], others: list[nn.Parameter]) -> None:
        self._turning = Turning(matrices)
        self._adam = torch.optim.AdamW(others, betas=(0.9, 0.98), weight_decay=0.01, fused=True)

    def step(self, rate: float, turning: float) -> None:
        """One step of both."""
        for group in self._adam.param_groups:
            group["lr"] = rate
        self._adam.step()
        self._turning.step(turning)

    def forget(self) -> None:
        """Drop the gradients."""
        self._adam.zero_grad(set_to_none=True)
        self._turning.forget()

    def state(self) -> dict[str, Any]:
        """All that a checkpoint has to hold."""
        return {"adam": self._adam.state_dict(), "turning": self._turning.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self._adam.load_state_dict(state["adam"])
        self._turning.restore(state["turning"])
