"""Train the chat demo model: `python -m training.train_qwen --out DIR`."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import distributed
from torch import multiprocessing as processes
from transformers import GenerationConfig

from training.chat import HINTS, OTHER_SYSTEMS, TEXT_ONLY
from training.chat_batches import Coder
from training.chat_language import words
from training.chat_pictures import draw_scenes, load_scenes
from training.chat_progress import measure
from training.chat_stages import ChatWork, train_jointly, train_language, train_vision
from training.objectives import CellHead
from training.progress import summary
from training.qwen_model import build, demo_config, initialise
from training.qwen_tokenizer import SPECIAL, build_chat_tokenizer, save_chat_files, token_id
from training.team import Team

Stage = tuple[str, Callable[[ChatWork], None]]


def _stages(options: argparse.Namespace) -> list[Stage]:
    """Names and work of the stages; each leaves `NAME.pt`, which lets a later run go on."""
    joint = options.joint_steps
    return [
        ("vision", lambda work: train_vision(work, options.vision_steps, options.easy_steps)),
        ("sharpen", lambda work: train_vision(work, options.sharpen_steps, 0, 1.2e-3, turn=8)),
        ("language", lambda work: train_language(work, options.language_steps, options.cached)),
        ("joint", lambda work: train_jointly(work, 1, joint[0], 8e-4)),
        ("second", lambda work: train_jointly(work, 2, joint[1], 6e-4)),
    ][: 5 if joint[1] else 4]


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
    head = CellHead(model.config.vision_config.hidden_size)
    return ChatWork(team, model, head, Coder(tokenizer), drawn, options.batch // team.size, options.seed)


def _train(rank: int, options: argparse.Namespace) -> None:
    """One training process."""
    team = Team.join(rank, options.processes, options.out / "meeting")
    work = _work(team, options)
    held_out = load_scenes(options.out / "scenes", "progress")
    for name, train in _stages(options):
        path = options.out / f"{name}.pt"
        if path.exists():
            work.load(path)
            team.say(f"{name}: already trained")
            continue
        train(work)
        work.save(path)
        if rank == 0 and name in ("joint", "second"):
            team.say(name, summary(measure(work.model, work.coder, held_out, 60)))
        distributed.barrier()
    if rank == 0:
        ends = [work.coder.end, work.model.config.text_config.pad_token_id]
        work.model.generation_config = GenerationConfig(eos_token_id=ends, pad_token_id=ends[1])
        work.model.save_pretrained(options.out / "checkpoint")
    distributed.destroy_process_group()


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line; the defaults make the committed demo model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for scenes, stages and the checkpoint"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scenes", type=int, default=80000)
    parser.add_argument("--cached", type=int, default=300, help="batches of the language stage")
    parser.add_argument("--batch", type=int, default=64, help="pictures a step, over all processes")
    parser.add_argument("--vision-steps", type=int, default=1800)
    parser.add_argument(
        "--easy-steps", type=int, default=900, help="the first vision steps, on large objects"
    )
    parser.add_argument("--sharpen-steps", type=int, default=900)
    parser.add_argument("--language-steps", type=int, default=450)
    parser.add_argument("--joint-steps", type=int, nargs=2, default=[1150, 0])
    parser.add_argument("--processes", type=int, default=2)
    return parser.parse_args(arguments)


def main() -> None:
    """Render, train all stages that have not been trained yet, and write the checkpoint."""
    options = parse()
    options.out = options.out.resolve()
    options.out.mkdir(parents=True, exist_ok=True)
    draw = partial(draw_scenes, options.out / "scenes", processes=options.processes)
    draw("train", options.scenes, options.seed)
    draw("progress", 300, options.seed + 1000, margin=0.25)
    meeting = options.out / "meeting"
    meeting.unlink(missing_ok=True)
    processes.spawn(_train, args=(options,), nprocs=options.processes)
    shutil.rmtree(meeting, ignore_errors=True)


if __name__ == "__main__":
    main()
