"""What engine and transformers are both asked, and how to ask the engine. Needs no torch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hailo_common.engine.contract import Engine, RgbImage
from hailo_florence.protocol import FlorenceRequest, FlorenceResult

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
GOLDEN = ROOT / "tests" / "golden"
DEMO = ROOT / "hailo_florence" / "demo_model"
FOLDERS = {"random-a": DATA / "florence-random-a", "random-b": DATA / "florence-random-b"}

QUESTIONS = (
    "What color is the circle?",
    "Is there a red square to the left of the star? Answer yes or no, please.",
    "  ¿Cuántos círculos hay?  😀",
    "x",
)
SETTINGS: dict[str, dict[str, Any]] = {
    "as exported": {},
    "nothing forced": {"forced_bos_token_id": None, "forced_eos_token_id": None},
    "no forced BOS": {"forced_bos_token_id": None},
    "another BOS forced": {"forced_bos_token_id": 7},
    "repeats allowed": {"no_repeat_ngram_size": 0},
    "no token twice": {"no_repeat_ngram_size": 1},
    "no pair twice": {"no_repeat_ngram_size": 2},
    "repetition penalty": {"repetition_penalty": 1.4, "no_repeat_ngram_size": 0},
    "own minimum": {"min_length": 9},
    "own minimum of new tokens": {"min_new_tokens": 12},
    "many ends": {"eos_token_id": [2, 228, 156, 184, 152, 223, 281, 208, 216]},
    "many ends, own minimum": {"eos_token_id": [2, 228, 184, 152, 223, 281, 208, 167], "min_length": 6},
    "bad words": {"bad_words_ids": [[2], [40], [41, 42], [100, 101, 102], [0, 60]]},
    "suppressed": {"suppress_tokens": [50, 60, 70], "begin_suppress_tokens": [80, 90]},
}
"""The ends are tokens that the random models choose often: else they would never stop of themselves."""
LENGTHS: tuple[tuple[int, int | None], ...] = ((20, None), (1, None), (2, 0), (7, 7), (30, 12))


@dataclass(frozen=True)
class Case:
    """One request; `settings` names an entry of `SETTINGS`."""

    image: int
    question: str | None
    max_length: int
    min_length: int | None
    settings: str

    @property
    def prompt(self) -> str:
        """The prompt as people write it for transformers."""
        return "<CAPTION>" if self.question is None else f"<VQA>{self.question}"

    def request(self) -> dict[str, Any]:
        """The same as the engine's request."""
        return {
            "task": "caption" if self.question is None else "vqa",
            "question": self.question,
            "max_length": self.max_length,
            "min_length": self.min_length,
        }

    def to_json(self) -> dict[str, Any]:
        """The same as a JSON object."""
        return asdict(self)


def cases(settings: str) -> Iterator[Case]:
    """Requests for one entry of `SETTINGS`: all pictures, questions and lengths when it is the first one."""
    every = settings == "as exported"
    for number in range(4 if every else 2):
        for question in (None, *QUESTIONS) if every else (None, QUESTIONS[0]):
            for longest, shortest in LENGTHS if every else LENGTHS[:1] + LENGTHS[3:]:
                if shortest is None or "min_new_tokens" not in SETTINGS[settings]:
                    yield Case(number, question, longest, shortest, settings)


def formula_image(side: int, number: int) -> RgbImage:
    """A picture of integers only, the same on every machine, (side, side, 3)."""
    y, x = np.mgrid[:side, :side]
    channels = [(x * (3 + number) + y * factor + x * y * number // 7) % 256 for factor in (1, 5, 2)]
    return np.stack(channels, axis=-1).astype(np.uint8)


def with_settings(source: Path, folder: Path, settings: Mapping[str, Any]) -> Path:
    """A copy of a model folder whose `generation_config.json` says something else; None removes a key."""
    shutil.copytree(source, folder, dirs_exist_ok=True)
    path = folder / "generation_config.json"
    values = {**json.loads(path.read_text()), **settings}
    path.write_text(json.dumps({key: value for key, value in values.items() if value is not None}))
    return folder


def ask(engine: Engine, request: Mapping[str, Any], image: RgbImage) -> tuple[list[int], dict[str, Any]]:
    """The engine's tokens and result."""
    *events, last = engine.run(FlorenceRequest(**request), [image])
    assert isinstance(last, FlorenceResult)
    return [event for event in events if isinstance(event, int)], last.to_json()
