"""Train the everyday model: `python -m training.voice.train_voice --out DIR`.

Each round leaves `NAME.pt`; a run that was interrupted goes on from the last checkpoint of the round.
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import nn

from training.florence.tokenizer import image_token_id, save_tokenizer
from training.scenes.team import WARM_UP
from training.things.view import ROWS
from training.voice.batches import Words, batches
from training.voice.evaluate import figures, told
from training.voice.model import Voice, everyday_config, loss_of
from training.voice.optimise import Optimiser, rate_at
from training.voice.words import build_words

TOLD, KEPT = 50, 150


def make(out: Path, seed: int) -> tuple[Voice, Words]:
    """A fresh model, and its tokenizer as it stands in the folder."""
    path = out / "tokenizer.json"
    if not path.exists():
        save_tokenizer(build_words(), out, 1024)
    tokenizer = Tokenizer.from_file(str(path))
    torch.manual_seed(seed)
    config = everyday_config(tokenizer.get_vocab_size(), image_token_id(tokenizer))
    return Voice(config, tokenizer), Words(tokenizer)


def load(voice: Voice, path: Path) -> dict[str, Any]:
    """Weights of a checkpoint, and the rest of it."""
    saved: dict[str, Any] = torch.load(path, weights_only=True)
    # What only training needs may be newer than the checkpoint.
    voice.load_state_dict(voice.state_dict() | saved["model"])
    return saved


def _keep(voice: Voice, optimiser: Optimiser, step: int, path: Path) -> None:
    waiting = path.with_suffix(".part")
    torch.save({"model": voice.state_dict(), "optimiser": optimiser.state(), "step": step}, waiting)
    waiting.replace(path)


def train(voice: Voice, words: Words, options: argparse.Namespace) -> None:
    """One round."""
    path = options.out / f"{options.name}.pt"
    matrices, others = voice.trained()
    optimiser = Optimiser(matrices, others)
    begin = 0
    if path.exists():
        saved = load(voice, path)
        optimiser.restore(saved["optimiser"])
        begin = saved["step"]
    elif options.start:
        load(voice, options.start)
    made = batches(
        words, random.Random(f"{options.seed} {options.name} {begin}"), options.budget, options.most
    )
    total, begun = 0.0, time.monotonic()
    voice.train()
    for step in range(begin, options.steps):
        share = rate_at(step, options.steps, options.decay, WARM_UP)
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(voice, next(made))
        optimiser.forget()
        loss.backward()
        nn.utils.clip_grad_norm_(others, 1.0)
        optimiser.step(share * options.rate, share * options.turning)
        total += loss.item()
        if (step + 1) % TOLD == 0:
            passed = time.monotonic() - begun
            print(
                f"{time.strftime('%H:%M:%S')} {options.name} {step + 1}/{options.steps} {passed:.0f} s",
                end="",
            )
            print(f" rate {share:.3f} loss {total / TOLD:.4f}", flush=True)
            total = 0.0
        if (step + 1) % KEPT == 0 or step + 1 == options.steps:
            _keep(voice, optimiser, step + 1, path)
        if (step + 1) % options.measure == 0 or step + 1 == options.steps:
            print(told(figures(voice, words, 400, seed=step)), flush=True)
            voice.train()


def main() -> None:
    """Train one round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--name", default="first")
    parser.add_argument("--start", type=Path, help="a checkpoint to begin with")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--turning", type=float, default=0.02, help="the rate of matrices")
    parser.add_argument("--decay", type=int, default=0, help="the last steps, at falling rates")
    parser.add_argument("--budget", type=int, default=5500, help="tokens a batch")
    parser.add_argument("--most", type=int, default=ROWS, help="things of a list")
    parser.add_argument("--measure", type=int, default=1500)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    voice, words = make(options.out, options.seed)
    train(voice, words, options)


if __name__ == "__main__":
    main()
