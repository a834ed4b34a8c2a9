"""Train the demo model: `python -m training.florence.train_florence --out DIR`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

import torch

from training.florence.model import build, demo_config, initialise
from training.florence.objectives import CellHead
from training.florence.progress import measure, summary
from training.florence.stages import (
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
from training.florence.tokenizer import build_tokenizer, image_token_id, save_tokenizer
from training.scenes.dataset import SQUARE, Recipe, draw_scenes, load_scenes
from training.scenes.team import Team
from training.scenes.trainee import make_parser, run_stages, run_team

Stage = tuple[str, Callable[[Work], None]]


def _stages(options: argparse.Namespace) -> list[Stage]:
    """Names and work of the stages; the last two have scenes of their own."""
    steps = options.joint_steps
    return [
        ("vision", lambda work: train_vision(work, options.vision_steps, options.easy_steps)),
        ("language", lambda work: train_language(work, options.language_steps, options.cached)),
        ("joint", lambda work: train_jointly(work, steps[0], FIRST_JOINT)),
        ("second", lambda work: train_jointly(work, steps[1], SECOND_JOINT)),
        ("third", lambda work: train_jointly(work, steps[2], THIRD_JOINT)),
        ("late", lambda work: train_jointly(_with(work, "late", options), steps[3], LATE_JOINT)),
        ("last", lambda work: train_jointly(_with(work, "last", options), steps[4], LAST_JOINT)),
    ]


def _with(work: Work, scenes: str, options: argparse.Namespace) -> Work:
    work.drawn = load_scenes(options.out / "scenes", scenes)
    return work


def _work(team: Team, options: argparse.Namespace) -> Work:
    torch.manual_seed(options.seed)
    tokenizer = build_tokenizer()
    config = demo_config(tokenizer.get_vocab_size(), image_token_id(tokenizer))
    model = build(config).train()
    initialise(model)
    head = CellHead(config.vision_config.projection_dim)
    drawn = load_scenes(options.out / "scenes", "train")
    return Work(
        team=team,
        model=model,
        head=head,
        tokenizer=tokenizer,
        drawn=drawn,
        batch=options.batch // team.size,
        seed=options.seed,
    )


def _train(team: Team, options: argparse.Namespace) -> None:
    """One training process."""
    work = _work(team, options)
    held_out = load_scenes(options.out / "scenes", "progress")

    def report(stage: str) -> str:
        every = range(len(held_out.scenes))
        return "" if stage == "vision" else summary(measure(work.model, work.tokenizer, held_out, every))

    run_stages(work, _stages(options), options.out, report)
    if team.rank == 0:
        work.model.save_pretrained(options.out / "checkpoint")
        save_tokenizer(work.tokenizer, options.out / "checkpoint", 512)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line; the defaults make the committed demo model."""
    parser = make_parser(__doc__, scenes=64000)
    parser.add_argument("--cached", type=int, default=32000, help="scenes of the language stage")
    parser.add_argument("--vision-steps", type=int, default=2200)
    parser.add_argument(
        "--easy-steps", type=int, default=1200, help="the first vision steps, on large objects"
    )
    parser.add_argument("--language-steps", type=int, default=1500)
    parser.add_argument("--joint-steps", type=int, nargs=5, default=[1500, 2200, 1800, 1600, 2400])
    return parser.parse_args(arguments)


def main() -> None:
    """Render, train all stages that have not been trained yet, and write the checkpoint."""
    options = parse()
    options.out = options.out.resolve()
    options.out.mkdir(parents=True, exist_ok=True)
    seed = options.seed
    draw = partial(draw_scenes, options.out / "scenes", canvas=SQUARE, processes=options.processes)
    draw("train", options.scenes, recipe=Recipe(f"{seed}"))
    draw("late", options.scenes, recipe=Recipe(f"{seed + 500}", mixed=0.6))
    draw("last", options.scenes, recipe=Recipe(f"{seed + 700}", mixed=0.75, jpegs=0.6))
    draw("progress", 400, recipe=Recipe(f"{seed + 1000}", margin=0.25))
    run_team(_train, options)


if __name__ == "__main__":
    main()
