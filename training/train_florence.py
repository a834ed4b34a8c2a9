"""Train the demo model: `python -m training.train_florence --out DIR`."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import distributed
from torch import multiprocessing as processes

from training.dataset import draw_scenes, load_scenes
from training.model import build, demo_config, initialise
from training.objectives import CellHead
from training.progress import measure, summary
from training.stages import (
    FIRST_JOINT,
    LAST_JOINT,
    LATE_JOINT,
    SECOND_JOINT,
    THIRD_JOINT,
    Work,
    train_jointly,
    train_language,
    train_vision,
)
from training.team import Team
from training.tokenizer import build_tokenizer, image_token_id, save_tokenizer

Stage = tuple[str, str, Callable[[Work], None]]


def _stages(options: argparse.Namespace) -> list[Stage]:
    """Names, scenes and work of the stages; each leaves `NAME.pt`, which lets a later run go on."""
    steps = options.joint_steps
    return [
        ("vision", "train", lambda work: train_vision(work, options.vision_steps, options.easy_steps)),
        ("language", "train", lambda work: train_language(work, options.language_steps, options.cached)),
        ("joint", "train", lambda work: train_jointly(work, steps[0], FIRST_JOINT)),
        ("second", "train", lambda work: train_jointly(work, steps[1], SECOND_JOINT)),
        ("third", "train", lambda work: train_jointly(work, steps[2], THIRD_JOINT)),
        ("late", "late", lambda work: train_jointly(work, steps[3], LATE_JOINT)),
        ("last", "last", lambda work: train_jointly(work, steps[4], LAST_JOINT)),
    ]


def _work(team: Team, options: argparse.Namespace) -> Work:
    torch.manual_seed(options.seed)
    tokenizer = build_tokenizer()
    config = demo_config(tokenizer.get_vocab_size(), image_token_id(tokenizer))
    model = build(config).train()
    initialise(model)
    head = CellHead(config.vision_config.projection_dim)
    drawn = load_scenes(options.out / "scenes", "train")
    return Work(team, model, head, tokenizer, drawn, options.batch // team.size, options.seed)


def _train(rank: int, options: argparse.Namespace) -> None:
    """One training process."""
    team = Team.join(rank, options.processes, options.out / "meeting")
    work = _work(team, options)
    held_out = load_scenes(options.out / "scenes", "progress")
    for name, scenes, train in _stages(options):
        path = options.out / f"{name}.pt"
        if path.exists():
            work.load(path)
            team.say(f"{name}: already trained")
            continue
        work.drawn = load_scenes(options.out / "scenes", scenes)
        train(work)
        work.save(path)
        if rank == 0 and name != "vision":
            team.say(name, summary(measure(work.model, work.tokenizer, held_out, range(len(held_out)))))
        distributed.barrier()
    if rank == 0:
        work.model.save_pretrained(options.out / "checkpoint")
        save_tokenizer(work.tokenizer, options.out / "checkpoint", 512)
    distributed.destroy_process_group()


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line; the defaults make the committed demo model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for scenes, stages and the checkpoint"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scenes", type=int, default=64000)
    parser.add_argument("--cached", type=int, default=32000, help="scenes of the language stage")
    parser.add_argument("--batch", type=int, default=64, help="pictures a step, over all processes")
    parser.add_argument("--vision-steps", type=int, default=2200)
    parser.add_argument(
        "--easy-steps", type=int, default=1200, help="the first vision steps, on large objects"
    )
    parser.add_argument("--language-steps", type=int, default=1500)
    parser.add_argument("--joint-steps", type=int, nargs=5, default=[1500, 2200, 1800, 1600, 2400])
    parser.add_argument("--processes", type=int, default=2)
    return parser.parse_args(arguments)


def main() -> None:
    """Render, train all stages that have not been trained yet, and write the checkpoint."""
    options = parse()
    options.out = options.out.resolve()
    options.out.mkdir(parents=True, exist_ok=True)
    draw = partial(draw_scenes, options.out / "scenes", processes=options.processes)
    draw("train", options.scenes, options.seed)
    draw("late", options.scenes, options.seed + 500, mixed=0.6)
    draw("last", options.scenes, options.seed + 700, mixed=0.75, jpegs=0.6)
    draw("progress", 400, options.seed + 1000, margin=0.25)
    meeting = options.out / "meeting"
    meeting.unlink(missing_ok=True)
    processes.spawn(_train, args=(options,), nprocs=options.processes)
    shutil.rmtree(meeting, ignore_errors=True)


if __name__ == "__main__":
    main()
