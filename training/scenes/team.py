"""Two one-thread processes that train one model: faster on two cores than two threads of one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import distributed, nn

WARM_UP = 100


@dataclass(frozen=True)
class Team:
    """This process's place among the training processes."""

    rank: int
    size: int

    @classmethod
    def join(cls, rank: int, size: int, meeting: Path) -> Team:
        """Meet the other processes at a file (which must not exist before)."""
        torch.set_num_threads(1)
        distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=size)
        return cls(rank, size)

    def average_gradients(self, parameters: list[nn.Parameter]) -> None:
        """Replace each gradient by its mean over the processes."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        distributed.all_reduce(flat)
        flat /= self.size
        parts = flat.split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def say(self, *words: object) -> None:
        """Print once, whichever process runs first."""
        if self.rank == 0:
            print(time.strftime("%H:%M:%S"), *words, flush=True)


def rate_share(step: int, steps: int, floor: float = 0.02) -> float:
    """Share of the full learning rate: a short rise, then half a cosine."""
    if step < WARM_UP:
        return (step + 1) / WARM_UP
    done = (step - WARM_UP) / max(1, steps - WARM_UP)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * done))


def run_steps(
    team: Team,
    name: str,
    steps: int,
    groups: list[tuple[list[nn.Parameter], float]],
    loss_of: Callable[[], tuple[torch.Tensor, dict[str, float]]],
) -> None:
    """Train groups of parameters, each with its own peak learning rate, for a number of steps."""
    parameters = [parameter for members, _ in groups for parameter in members]
    optimiser = torch.optim.AdamW(
        [{"params": members, "lr": rate} for members, rate in groups],
        betas=(0.9, 0.98),
        weight_decay=0.02,
        fused=True,
    )
    sums: dict[str, float] = {}
    begun = time.monotonic()
    for step in range(steps):
        for group, (_, rate) in zip(optimiser.param_groups, groups, strict=True):
            group["lr"] = rate * rate_share(step, steps)
        with torch.autocast("cpu", torch.bfloat16):
            loss, figures = loss_of()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        team.average_gradients(parameters)
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        for key, value in figures.items():
            sums[key] = sums.get(key, 0.0) + value
        if (step + 1) % 50 == 0 or step + 1 == steps:
            count = step % 50 + 1
            told = " ".join(f"{key} {value / count:.3f}" for key, value in sums.items())
            team.say(f"{name} {step + 1}/{steps} {time.monotonic() - begun:.0f} s {told}")
            sums = {}
