"""What training the two demo models has in common: what a process works on, its stages, its command line."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import torch
from torch import distributed, nn
from torch import multiprocessing as processes

from training.florence.objectives import CellHead
from training.scenes.scenes import Scene
from training.scenes.team import Team

LEAST, EASY = 0.033, 0.078  # radius over the longer side: 4 and 10 of 128 pixels


class Scenes(Protocol):
    """Rendered scenes."""

    @property
    def scenes(self) -> list[Scene]:
        """All of them, in the order of their pictures."""
        ...


@dataclass(kw_only=True)
class Trainee:
    """All that a stage works on, in one process; `batch` counts this process's pictures a step."""

    team: Team
    model: nn.Module
    head: CellHead
    drawn: Scenes
    batch: int
    seed: int

    def share(self, least: float = LEAST, noise: float = 100.0) -> list[int]:
        """Indices of this process's scenes: none with smaller objects (see `least_radius`) or more noise."""
        scenes = self.drawn.scenes
        return [
            index
            for index in range(self.team.rank, len(scenes), self.team.size)
            if scenes[index].least_radius >= least and scenes[index].background.noise_level <= noise
        ]

    def save(self, path: Path) -> None:
        """Write the weights, from the first process only."""
        if self.team.rank == 0:
            torch.save({"model": self.model.state_dict(), "head": self.head.state_dict()}, path)

    def load(self, path: Path) -> None:
        """Read weights that `save` wrote."""
        saved = torch.load(path, weights_only=True)
        self.model.load_state_dict(saved["model"])
        self.head.load_state_dict(saved["head"])


Pupil = TypeVar("Pupil", bound=Trainee)


def run_stages(
    work: Pupil,
    stages: Sequence[tuple[str, Callable[[Pupil], None]]],
    folder: Path,
    report: Callable[[str], str],
) -> None:
    """Train the stages one after the other; each leaves `NAME.pt`, which lets a later run go on.

    `report` says how good the model is after a stage; an empty text says nothing.
    """
    for name, train in stages:
        path = folder / f"{name}.pt"
        if path.exists():
            work.load(path)
            work.team.say(f"{name}: already trained")
            continue
        train(work)
        work.save(path)
        if work.team.rank == 0 and (told := report(name)):
            work.team.say(name, told)
        distributed.barrier()


def make_parser(description: str | None, scenes: int) -> argparse.ArgumentParser:
    """The options that both have; `scenes` is the usual number of a set."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for scenes, stages and the checkpoint"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scenes", type=int, default=scenes)
    parser.add_argument("--batch", type=int, default=64, help="pictures a step, over all processes")
    parser.add_argument("--processes", type=int, default=2)
    return parser


def run_team(train: Callable[[Team, argparse.Namespace], None], options: argparse.Namespace) -> None:
    """Train in as many processes as the options say."""
    meeting = options.out / "meeting"
    meeting.unlink(missing_ok=True)
    processes.spawn(_member, args=(train, options), nprocs=options.processes)
    shutil.rmtree(meeting, ignore_errors=True)


def _member(
    rank: int, train: Callable[[Team, argparse.Namespace], None], options: argparse.Namespace
) -> None:
    train(Team.join(rank, options.processes, options.out / "meeting"), options)
    distributed.destroy_process_group()
