"""Measure a chat model folder on held-out scenes through the service's own image decoder and engine.

`python -m training.chat.evaluate_qwen [FOLDER] [--scenes N] [--out FILE.md]` prints a Markdown table.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hailo_common.engine.contract import RgbImage
from hailo_common.images.resize import ResizeSpec
from hailo_vision.onnx.engine import OnnxVisionEngine, make_onnx_engine
from hailo_vision.protocol import ChatMessage, Sampling, VisionRequest, VisionResult
from training.chat.chat import TEXT_ONLY, Chat, text_message
from training.chat.chat_language import (
    KINDS,
    NO_IMAGE,
    PAIR_KINDS,
    Turn,
    any_turn,
    follow_up,
    pair_turn,
    turn,
)
from training.florence.evaluate_florence import OWN, Tally, held_out, write_table
from training.scenes.foreign_drawing import STYLES
from training.scenes.scenes import Scene
from training.scenes.seen import seen

SINGLE, FOLLOW, PAIR, TEXT = "single picture", "follow-up", "two pictures", "text only"
COUNTS = tuple(f"describe {count}" for count in (1, 2, 3))
ROWS = [*COUNTS, *KINDS[1:], SINGLE, "its color", "its shape", FOLLOW, *PAIR_KINDS, PAIR, TEXT]


@dataclass(frozen=True)
class Miss:
    """A wrong answer, for the list of misses."""

    renderer: str
    number: int
    question: str
    said: str
    truth: str


def chat_message(message: dict[str, Any]) -> ChatMessage:
    """A message of a conversation as the service's engine takes it."""
    return ChatMessage(message["role"], tuple(part[part["type"]] for part in message["content"]))


class Examiner:
    """Asks one engine and counts."""

    def __init__(self, engine: OnnxVisionEngine, target: ResizeSpec) -> None:
        self._engine, self._target = engine, target
        self.tally: Tally = defaultdict(lambda: [0, 0])
        self.misses: list[Miss] = []

    def seen(self, data: bytes) -> RgbImage:
        """The picture as the service's decoder hands it to the engine."""
        return seen(data, self._target)

    def ask(self, messages: list[dict[str, Any]], images: Sequence[RgbImage]) -> str:
        """One greedy answer."""
        request = VisionRequest(
            messages=tuple(map(chat_message, messages)),
            max_tokens=60,
            sampling=Sampling(seed=0, repetition=1.0),
        )
        *_, last = self._engine.run(request, images)
        assert isinstance(last, VisionResult)
        return last.text.strip()

    def check(self, renderer: str, number: int, asked: Turn, said: str, rows: list[str]) -> None:
        """Count an answer in the rows of the table."""
        right = said in asked.answers
        for row in rows:
            self.tally[row, renderer][0] += right
            self.tally[row, renderer][1] += 1
        if not right:
            self.misses.append(Miss(renderer, number, asked.question, said, asked.answer))

    def single(self, renderer: str, number: int, scene: Scene, image: RgbImage) -> None:
        """One question of each kind, each in a conversation of its own."""
        rng = random.Random(number)
        for kind in KINDS:
            if (asked := turn(scene, kind, rng)) is not None:
                said = self.ask(Chat((scene,), (asked,), None, "before").messages()[:-1], [image])
                row = f"describe {len(scene.things)}" if kind == "describe" else kind
                self.check(renderer, number, asked, said, [row, SINGLE])

    def follow(self, renderer: str, number: int, scene: Scene, image: RgbImage) -> None:
        """Three questions in a row, the model's own answers before the second and third."""
        rng = random.Random(number + 1)
        asked = any_turn(scene, rng)
        messages = Chat((scene,), (asked,), None, "before").messages()[:-1]
        for _ in range(2):
            messages.append(text_message("assistant", self.ask(messages, [image])))
            asked = follow_up(scene, asked, rng)
            messages.append(text_message("user", asked.question))
            said = self.ask(messages, [image])
            rows = [FOLLOW, asked.kind] if asked.kind.startswith("its ") else [FOLLOW]
            self.check(renderer, number, asked, said, rows)

    def pair(
        self, renderer: str, number: int, scenes: tuple[Scene, Scene], images: Sequence[RgbImage]
    ) -> None:
        """Questions about two pictures."""
        rng = random.Random(number + 2)
        for kind in PAIR_KINDS:
            asked = pair_turn(scenes, kind, rng)
            said = self.ask(Chat(scenes, (asked,), None, "before").messages()[:-1], images)
            self.check(renderer, number, asked, said, [kind, PAIR])


def measure(examiner: Examiner, renderer: str, count: int, seed: int) -> None:
    """All questions about the held-out scenes of one renderer."""
    last: tuple[Scene, RgbImage] | None = None
    for number, (scene, data) in enumerate(held_out(renderer, count, seed)):
        image = examiner.seen(data)
        examiner.single(renderer, number, scene, image)
        examiner.follow(renderer, number, scene, image)
        if last is not None and number % 2:
            examiner.pair(renderer, number, (last[0], scene), [last[1], image])
        last = scene, image


def small_talk(examiner: Examiner) -> None:
    """Text without a picture."""
    for number, text in enumerate(TEXT_ONLY):
        asked = Turn("text", text, (NO_IMAGE,))
        said = examiner.ask(Chat((), (asked,), None, "before").messages()[:-1], [])
        examiner.check(OWN, number, asked, said, [TEXT])


def main() -> None:
    """Measure a folder with all renderers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("hailo_vision/demo_model"))
    parser.add_argument("--scenes", type=int, default=200, help="scenes of each renderer")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--misses", type=int, default=0, help="how many wrong answers to print")
    parser.add_argument("--out", type=Path, help="file for the table; one in it is replaced")
    options = parser.parse_args()
    begun = time.monotonic()
    engine = make_onnx_engine({"model_dir": str(options.folder), "backend": "cpu", "threads": 1})
    examiner = Examiner(engine, engine.load().resize)
    for renderer in (OWN, *STYLES):
        measure(examiner, renderer, options.scenes, options.seed)
    small_talk(examiner)
    engine.close()
    write_table(examiner.tally, [OWN, *STYLES], ROWS, options.out)
    print(f"{time.monotonic() - begun:.0f} s")
    for miss in random.Random(0).sample(examiner.misses, min(options.misses, len(examiner.misses))):
        print(miss)


if __name__ == "__main__":
    main()
