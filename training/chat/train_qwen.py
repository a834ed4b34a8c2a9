"""Train the chat demo model: `python -m training.chat.train_qwen --out DIR`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

import torch
from transformers import GenerationConfig

from training.chat.chat import HINTS, OTHER_SYSTEMS, TEXT_ONLY
from training.chat.chat_batches import Coder
from training.chat.chat_language import words
from training.chat.chat_pictures import NATIVE, load_scenes
from training.chat.chat_progress import measure
from training.chat.chat_stages import ChatWork, train_jointly, train_language, train_vision
from training.chat.places import PlaceHead, look_around
from training.chat.qwen_model import build, demo_config, initialise
from training.chat.qwen_tokenizer import SPECIAL, build_chat_tokenizer, save_chat_files, token_id
from training.florence.progress import summary
from training.scenes.dataset import Recipe, draw_scenes
from training.scenes.team import Team
from training.scenes.trainee import make_parser, run_stages, run_team

HELD_OUT = 60  # scenes that the progress is measured on: slow, for nothing is cached
Stage = tuple[str, Callable[[ChatWork], None]]


def _stages(options: argparse.Namespace) -> list[Stage]:
    """Names and work of the stages: one joint stage for each number of `--joint-steps`."""
    return [
        ("vision", lambda work: train_vision(work, options.vision_steps, options.easy_steps)),
        ("sharpen", lambda work: train_vision(work, options.sharpen_steps, 0, 1.2e-3, turn=8)),
        *(_places(turn, steps) for turn, steps in enumerate(options.places_steps, start=1)),
        ("language", lambda work: train_language(work, options.language_steps, options.cached)),
        *(_joint(turn, steps) for turn, steps in enumerate(options.joint_steps, start=1)),
        (
            "pairs",
            lambda work: train_language(
                work, options.pairs_steps, options.cached * 3 // 2, 1.2e-3, turn=41, pairs=1.3
            ),
        ),
    ]


def _places(turn: int, steps: int) -> Stage:
    def train(work: ChatWork) -> None:
        if turn == 1:
            look_around(work.model)
        train_vision(work, steps, 0, 1.2e-3, turn=8 + turn)

    return f"places-{turn}", train


def _joint(turn: int, steps: int) -> Stage:
    rate = 8e-4 if turn == 1 else 6e-4
    return f"joint-{turn}", lambda work: train_jointly(work, turn, steps, rate)


def _work(team: Team, options: argparse.Namespace) -> ChatWork:
    torch.manual_seed(options.seed)
    tokenizer = build_chat_tokenizer([*words(), *HINTS, *OTHER_SYSTEMS, *TEXT_ONLY])
    ids = {token: token_id(tokenizer, token) for token in SPECIAL}
    model = build(demo_config(tokenizer.get_vocab_size(), ids)).train()
    initialise(model)
    if team.rank == 0:
        save_chat_files(tokenizer, options.out / "checkpoint", 2048)
        team.say(
            "parameters",
            sum(part.numel() for part in model.parameters()),
            "words",
            len(tokenizer.get_vocab()),
        )
    drawn = load_scenes(options.out / "scenes", "train")
    head = PlaceHead(model.config.vision_config.hidden_size)
    return ChatWork(
        team=team,
        model=model,
        head=head,
        coder=Coder(tokenizer),
        drawn=drawn,
        batch=options.batch // team.size,
        seed=options.seed,
    )


def _train(team: Team, options: argparse.Namespace) -> None:
    """One training process."""
    work = _work(team, options)
    held_out = load_scenes(options.out / "scenes", "progress")

    def report(stage: str) -> str:
        # before its joint stages the model hardly speaks, and never ends
        spoken = stage.startswith(("joint", "pairs"))
        return summary(measure(work.model, work.coder, held_out)) if spoken else ""

    run_stages(work, _stages(options), options.out, report)
    if team.rank == 0:
        ends = [work.coder.end, work.model.config.text_config.pad_token_id]
        work.model.generation_config = GenerationConfig(eos_token_id=ends, pad_token_id=ends[1])
        work.model.save_pretrained(options.out / "checkpoint")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line; the defaults make the committed demo model."""
    parser = make_parser(__doc__, scenes=80000)
    parser.add_argument("--cached", type=int, default=300, help="batches of the language stage")
    parser.add_argument("--vision-steps", type=int, default=1800)
    parser.add_argument(
        "--easy-steps", type=int, default=900, help="the first vision steps, on large objects"
    )
    parser.add_argument("--sharpen-steps", type=int, default=900)
    parser.add_argument(
        "--places-steps",
        type=int,
        nargs="+",
        default=[700, 900],
        help="steps of each stage of places",
    )
    parser.add_argument("--language-steps", type=int, default=500)
    parser.add_argument(
        "--joint-steps", type=int, nargs="+", default=[1500, 750], help="steps of each joint stage"
    )
    parser.add_argument(
        "--pairs-steps", type=int, default=1500, help="steps of the last stage, mostly about two pictures"
    )
    return parser.parse_args(arguments)


def main() -> None:
    """Render, train all stages that have not been trained yet, and write the checkpoint."""
    options = parse()
    options.out = options.out.resolve()
    options.out.mkdir(parents=True, exist_ok=True)
    draw = partial(draw_scenes, options.out / "scenes", canvas=NATIVE, processes=options.processes)
    draw("train", options.scenes, recipe=Recipe(f"chat-{options.seed}", mixed=0.5))
    draw("progress", HELD_OUT, recipe=Recipe(f"chat-{options.seed + 1000}", margin=0.25, mixed=0.5))
    run_team(_train, options)


if __name__ == "__main__":
    main()
