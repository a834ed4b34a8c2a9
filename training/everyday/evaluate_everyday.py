"""Measure a model of everyday things on lists that training never saw, through the service's own engine.

`python -m training.everyday.evaluate_everyday CHECKPOINT FOLDER [--lists N] [--out FILE.md]` prints a table.
The ways to ask are those that training never saw, too.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hailo_vision.onnx.engine import OnnxVisionEngine, make_onnx_engine
from hailo_vision.protocol import Sampling, VisionRequest, VisionResult
from training.chat.chat import text_message
from training.chat.evaluate_qwen import chat_message
from training.everyday import pairs, words
from training.everyday.client_prompts import ClientPrompt, client_prompts, schemas
from training.everyday.export_everyday import load_speaker
from training.everyday.list_eye import list_folder, picture_of, stored
from training.everyday.talks import Talk
from training.everyday.turns import KINDS_OF_QUESTION, Turn, follow_up, turn
from training.florence.evaluate_florence import write_table
from training.things.lists import sample
from training.things.view import View

COLUMN = "own"
CAPTIONS = ("short", "detailed", "title", "list")
ALL_CAPTIONS, ANSWERS, FOLLOW, PAIR, TALK = "captions", "answers", "follow-ups", "two pictures", "text only"
MOST_TOKENS = 400
_SMALL_TALK = {
    words.HELLO: ("Hello there!", "Good afternoon", "Thank you very much"),
    words.WHO: ("Who are you?", "What are you able to do?", "Please introduce yourself."),
    words.KNOWN: ("Which things do you know?", "Please list all the things that you know."),
    words.LARGE: ("Is there a larger model?", "How do I get the large model?"),
    words.ONLY_PICTURES: (
        "Turn off the light in the hall.",
        "What is the capital of Italy?",
        "Tell me a story.",
    ),
}


@dataclass
class Examiner:
    """Asks one engine and counts."""

    engine: OnnxVisionEngine
    tally: dict[tuple[str, str], list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    misses: list[str] = field(default_factory=list)

    def ask(
        self, messages: Sequence[dict[str, Any]], views: Sequence[View], schema: Any = None
    ) -> VisionResult:
        """One greedy answer."""
        shape = None if schema is None else {"type": "json_schema", "schema": schema}
        request = VisionRequest(
            messages=tuple(map(chat_message, messages)),
            max_tokens=MOST_TOKENS,
            sampling=Sampling(seed=0, repetition=1.0),
            response_format=shape,
        )
        *_, last = self.engine.run(request, [picture_of(view.things) for view in views])
        assert isinstance(last, VisionResult)
        return last

    def check(self, asked: Turn, answer: str, rows: Sequence[str]) -> None:
        """Count an answer in rows of the table."""
        right = answer.strip() == asked.answer
        for row in rows:
            self.tally[row, COLUMN][0] += right
            self.tally[row, COLUMN][1] += 1
        if not right:
            self.misses.append(f"{asked.kind} | {asked.question} | {answer} | {asked.answer}")

    def single(self, view: View, rng: random.Random) -> None:
        """One question of each kind, each in a conversation of its own."""
        for kind in KINDS_OF_QUESTION:
            asked = turn(view, kind, rng, held=True)
            answer = self.ask(Talk((view,), (asked,)).messages()[:-1], [view]).text
            self.check(asked, answer, [kind, ALL_CAPTIONS if kind in CAPTIONS else ANSWERS])

    def follow(self, view: View, rng: random.Random) -> None:
        """Four questions in a row, the model's own answers between them."""
        asked = turn(view, rng.choice(("exists", "count", "where")), rng, held=True)
        messages = Talk((view,), (asked,)).messages()[:-1]
        for _ in range(3):
            messages.append(text_message("assistant", self.ask(messages, [view]).text))
            asked = follow_up(view, asked, rng, held=True)
            messages.append(text_message("user", asked.question))
            self.check(asked, self.ask(messages, [view]).text, [FOLLOW])

    def pair(self, views: tuple[View, View], rng: random.Random) -> None:
        """A question of each kind about two pictures."""
        for kind in pairs.MAKERS:
            asked = pairs.pair_turn(views, rng, kind)
            answer = self.ask(Talk(views, (asked,)).messages()[:-1], views).text
            self.check(asked, answer, [kind, PAIR])

    def small_talk(self) -> None:
        """Texts without a picture."""
        for answer, texts in _SMALL_TALK.items():
            for text in texts:
                asked = Turn("text", text, answer)
                self.check(asked, self.ask([text_message("user", text)], []).text, [TALK])


def held_out(rng: random.Random) -> View:
    """A list of another seed, as its picture holds it."""
    return View(stored(sample(rng)))


@dataclass
class Clients:
    """What became of the prompts that real clients send."""

    prompts: int = 0
    unended: list[str] = field(default_factory=list)
    repeating: list[str] = field(default_factory=list)
    schemas: int = 0
    invalid: list[str] = field(default_factory=list)

    def note(self, prompt: ClientPrompt, result: VisionResult) -> None:
        """Count one answer."""
        self.prompts += 1
        text = f"{prompt.name}: {result.text}"
        if result.finish_reason == "length":
            self.unended.append(text)
        said_words = result.text.split()
        if any(a == b == c for a, b, c in zip(said_words, said_words[1:], said_words[2:], strict=False)):
            self.repeating.append(text)

    def note_json(self, schema: dict[str, Any], result: VisionResult) -> None:
        """Count one answer that a schema holds."""
        self.schemas += 1
        try:
            value = json.loads(result.text)
        except ValueError:
            value = None
        if not isinstance(value, dict) or set(schema["required"]) - value.keys():
            self.invalid.append(result.text)

    def lines(self) -> Iterator[str]:
        """What is to be told."""
        yield f"{self.prompts} prompts of clients: {len(self.unended)} ran to the length limit, "
        yield f"{len(self.repeating)} repeated a word three times in a row; "
        yield f"{self.schemas} schemas: {len(self.invalid)} without valid JSON"


def ask_clients(examiner: Examiner, rng: random.Random) -> Clients:
    """All prompts and schemas."""
    told = Clients()
    for prompt in client_prompts(rng):
        views = [held_out(rng) for _ in range(prompt.pictures)]
        told.note(prompt, examiner.ask(prompt.messages, views, prompt.schema))
    for schema, question in schemas(rng):
        view = held_out(rng)
        messages = Talk((view,), (Turn("json", question, ""),)).messages()[:-1]
        told.note_json(schema, examiner.ask(messages, [view], schema))
    return told


def examine(engine: OnnxVisionEngine, lists: int, seed: int) -> tuple[Examiner, Clients]:
    """Everything."""
    engine.load()
    examiner, rng = Examiner(engine), random.Random(f"held out {seed}")
    for _ in range(lists):
        view = held_out(rng)
        examiner.single(view, rng)
        examiner.follow(view, rng)
        one, other = pairs.pair_of(sample, rng)
        examiner.pair((View(stored(one.things)), View(stored(other.things))), rng)
    examiner.small_talk()
    return examiner, ask_clients(examiner, rng)


def main() -> None:
    """Measure a folder and its checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("hailo_vision/everyday_model"))
    parser.add_argument("--lists", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--misses", type=int, default=0, help="how many wrong answers to print")
    parser.add_argument("--out", type=Path, help="file for the table; one in it is replaced")
    options = parser.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        folder = list_folder(options.folder, load_speaker(options.checkpoint), Path(place) / "lists")
        with make_onnx_engine({"model_dir": str(folder), "backend": "cpu", "threads": 1}) as engine:
            examiner, told = examine(engine, options.lists, options.seed)
    rows = [*KINDS_OF_QUESTION, ALL_CAPTIONS, ANSWERS, FOLLOW, *pairs.MAKERS, PAIR, TALK]
    write_table(examiner.tally, [COLUMN], rows, options.out)
    print("\n".join(told.lines()))
    for each in (*told.unended[:5], *told.repeating[:5], *told.invalid[:5]):
        print("!", each)
    print(f"{time.monotonic() - begun:.0f} s")
    for miss in random.Random(0).sample(examiner.misses, min(options.misses, len(examiner.misses))):
        print(miss)


if __name__ == "__main__":
    main()
