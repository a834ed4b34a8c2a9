"""Train hailo-vision's model of everyday things: `python -m training.everyday.train_everyday --out DIR`.

One process of one thread; it goes on from its last checkpoint. `--steps` may change in between: the last
`--decay` of them lower the rate.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import nn
from transformers import GenerationConfig

from training.chat.qwen_model import build, initialise
from training.chat.qwen_tokenizer import SPECIAL, save_chat_files, token_id
from training.everyday.batches import Coder, Encoded, Told, collate
from training.everyday.beginnings import begin
from training.everyday.looks import looks_loss
from training.everyday.model import CONTEXT, TOKENS, Speaker, config_of, name_tokens
from training.everyday.talks import Talk, first_words, talk
from training.everyday.vocabulary import build_tokenizer
from training.voice.optimise import Optimiser, rate_at

WARM = 60
EVERY = 100
"""Steps between two checkpoints."""


def batch(
    coder: Coder, rng: random.Random, make: Callable[[random.Random], Talk], talks: int, tokens: int
) -> list[Told]:
    """Fresh conversations, in parts of similar length that have at most so many tokens, padding included."""
    made = []
    for _ in range(talks):
        one = make(rng)
        made.append((one, coder.sequence(one, rng)))
    made.sort(key=lambda pair: len(pair[1].ids))
    parts: list[list[tuple[Talk, Encoded]]] = [[]]
    for pair in made:
        if parts[-1] and (len(parts[-1]) + 1) * len(pair[1].ids) > tokens:
            parts.append([])
        parts[-1].append(pair)
    return [collate(part, TOKENS) for part in parts]


def _learn(speaker: Speaker, parts: list[Told]) -> tuple[float, int]:
    """Gradients of one batch; its summed loss and the tokens learnt."""
    total = sum(int(told.learnt[:, 1:].sum()) for told in parts)
    summed = 0.0
    for told in parts:
        with torch.autocast("cpu", torch.bfloat16):
            loss = speaker.loss(told)
        (loss / total).backward()
        summed += loss.item()
    return summed, total


def _trained(speaker: Speaker) -> list[tuple[str, nn.Parameter]]:
    """The language part and the encoder, but not what transformers makes for pictures."""
    return [*speaker.model.model.language_model.named_parameters(), *speaker.encoder.named_parameters()]


def _turns(name: str, parameter: nn.Parameter) -> bool:
    """Whether it is a matrix inside a layer, and no table of words, kinds or numbers."""
    tables = ("embed_tokens", "own.", "tables.", "types.", "shown.")
    return parameter.dim() == 2 and not name.startswith(tables)


def _tokenizer(folder: Path) -> Tokenizer:
    """That of a run that goes on, or a new one."""
    path = folder / "tokenizer.json"
    return Tokenizer.from_file(str(path)) if path.exists() else build_tokenizer()


class Trainer:
    """Model, optimiser and where it is."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.step = options, 0
        torch.manual_seed(options.seed)
        tokenizer = _tokenizer(options.out / "checkpoint")
        ids = {token: token_id(tokenizer, token) for token in SPECIAL}
        save_chat_files(tokenizer, options.out / "checkpoint", CONTEXT)
        model = build(config_of(tokenizer.get_vocab_size(), ids)).train()
        initialise(model)
        self.speaker, self.coder = Speaker(model), Coder(tokenizer, TOKENS)
        self.speaker.encoder.tokens_of.copy_(name_tokens(tokenizer))
        begin(self.speaker, tokenizer)
        parameters = [parameter for _, parameter in _trained(self.speaker)]
        count = sum(parameter.numel() for parameter in parameters)
        print(f"{count} parameters, {tokenizer.get_vocab_size()} tokens", flush=True)
        matrices = [parameter for name, parameter in _trained(self.speaker) if _turns(name, parameter)]
        turning = {id(parameter) for parameter in matrices}
        self.others = [parameter for parameter in parameters if id(parameter) not in turning]
        self.optimiser = Optimiser(matrices, self.others)
        self.ends = [self.coder.end, ids["<|endoftext|>"]]
        if self._file.exists():
            kept = torch.load(self._file)
            self.speaker.load_state_dict(kept["speaker"])
            self.optimiser.restore(kept["optimiser"])
            self.step = kept["step"]

    @property
    def _file(self) -> Path:
        return Path(self.options.out) / "last.pt"

    def save(self) -> None:
        """Everything that is needed to go on, and the checkpoint that the exporter reads."""
        kept = {
            "speaker": self.speaker.state_dict(),
            "optimiser": self.optimiser.state(),
            "step": self.step,
        }
        partial = self._file.with_suffix(".part")
        torch.save(kept, partial)
        partial.replace(self._file)
        model = self.speaker.model
        model.generation_config = GenerationConfig(eos_token_id=self.ends, pad_token_id=self.ends[1])
        model.save_pretrained(self.options.out / "checkpoint")
        torch.save(self.speaker.encoder.state_dict(), self.options.out / "checkpoint" / "encoder.pt")

    def run(self) -> None:
        """All steps that are left."""
        began, summed, count = time.monotonic(), 0.0, 0
        for step in self._steps():
            # Each step draws its own conversations, so that a run that goes on sees what it would have seen.
            rng = random.Random(f"{self.options.seed} {step}")
            share = rate_at(step, self.options.steps, self.options.decay, WARM)
            first = step < self.options.first
            make, talks = (first_words, 2 * self.options.talks) if first else (talk, self.options.talks)
            loss, tokens = _learn(self.speaker, batch(self.coder, rng, make, talks, self.options.tokens))
            if self.options.looks:
                looked = looks_loss(self.speaker, self.coder, rng, self.options.talks // 3)
                (self.options.looks * looked).backward()
            torch.nn.utils.clip_grad_norm_(self.others, 1.0)
            self.optimiser.step(share * self.options.rate, share * self.options.turning)
            self.optimiser.forget()
            summed, count = summed + loss, count + tokens
            if (step + 1) % self.options.every == 0:
                took = time.monotonic() - began
                print(f"{step + 1} loss {summed / count:.4f} rate {share:.3f} {took:.0f} s", flush=True)
                summed, count = 0.0, 0

    def _steps(self) -> Iterator[int]:
        for step in range(self.step, self.options.steps):
            yield step
            if (step + 1) % EVERY == 0 or step + 1 == self.options.steps:
                self.step = step + 1
                self.save()


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line; `training/README.md` says how the committed model was made."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--decay", type=int, default=2900, help="the last steps, at falling rates")
    parser.add_argument("--first", type=int, default=150, help="the first steps, of plain questions")
    parser.add_argument("--talks", type=int, default=56, help="conversations of a step")
    parser.add_argument("--looks", type=float, default=0.1, help="weight of what heads look at")
    parser.add_argument("--tokens", type=int, default=3500, help="most tokens computed at once")
    parser.add_argument("--every", type=int, default=25, help="steps between two lines of progress")
    parser.add_argument("--rate", type=float, default=1.5e-3)
    parser.add_argument("--turning", type=float, default=0.02, help="the rate of matrices")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args(arguments)


def main() -> None:
    """Train, and write the checkpoint."""
    options = parse()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    Trainer(options).run()


if __name__ == "__main__":
    main()
