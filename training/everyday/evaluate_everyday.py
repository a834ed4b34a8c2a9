"""Measure a model of everyday things on lists that training never saw, through the service's own engine.

`python -m training.everyday.evaluate_everyday CHECKPOINT FOLDER [--lists N] [--out FILE.md]` prints a table.
One column asks of lists that another program made than those of training, in words of the kind that training
had; one of lists as training had them, in words that it never had.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
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
from training.things.foreign_lists import foreign
from training.things.lists import sample
from training.things.view import Thing, View

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


@dataclass(frozen=True)
class Asking:
    """A column of the table: which lists are asked about, and whether in words that training never had."""

    column: str
    make: Callable[[random.Random], list[Thing]]
    held: bool

    def view(self, rng: random.Random) -> View:
        """A list of another seed than training's, as its picture holds it."""
        return View(stored(self.make(rng)))

    def pair(self, rng: random.Random) -> tuple[View, View]:
        """Two lists, often of one place at two times."""
        one, other = pairs.pair_of(self.make, rng)
        return View(stored(one.things)), View(stored(other.things))


OTHER_LISTS = Asking("other lists", foreign, held=False)
OTHER_WORDING = Asking("own lists, other wording", sample, held=True)


@dataclass
class Examiner:
    """Asks one engine and counts in one column."""

    engine: OnnxVisionEngine
    asking: Asking
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
            self.tally[row, self.asking.column][0] += right
            self.tally[row, self.asking.column][1] += 1
        if not right:
            miss = (self.asking.column, asked.kind, asked.question, answer, asked.answer)
            self.misses.append(" | ".join(miss))

    def all(self, lists: int, rng: random.Random) -> None:
        """So many lists."""
        for _ in range(lists):
            view = self.asking.view(rng)
            self.single(view, rng)
            self.follow(view, rng)
            self.pair(self.asking.pair(rng), rng)

    def single(self, view: View, rng: random.Random) -> None:
        """One question of each kind, each in a conversation of its own."""
        for kind in KINDS_OF_QUESTION:
            asked = turn(view, kind, rng, held=self.asking.held)
            answer = self.ask(Talk((view,), (asked,)).messages()[:-1], [view]).text
            self.check(asked, answer, [kind, ALL_CAPTIONS if kind in CAPTIONS else ANSWERS])

    def follow(self, view: View, rng: random.Random) -> None:
        """Four questions in a row, the model's own answers between them."""
        asked = turn(view, rng.choice(("exists", "count", "where")), rng, held=self.asking.held)
        messages = Talk((view,), (asked,)).messages()[:-1]
        for _ in range(3):
            messages.append(text_message("assistant", self.ask(messages, [view]).text))
            asked = follow_up(view, asked, rng, held=self.asking.held)
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
        views = [OTHER_WORDING.view(rng) for _ in range(prompt.pictures)]
        told.note(prompt, examiner.ask(prompt.messages, views, prompt.schema))
    for schema, question in schemas(rng):
        view = OTHER_WORDING.view(rng)
        messages = Talk((view,), (Turn("json", question, ""),)).messages()[:-1]
        told.note_json(schema, examiner.ask(messages, [view], schema))
    return told


def examine(engine: OnnxVisionEngine, lists: int, seed: int) -> tuple[list[Examiner], Clients]:
    """Everything: an examiner for each column, and what became of clients' prompts."""
    engine.load()
    examiners = [Examiner(engine, asking) for asking in (OTHER_WORDING, OTHER_LISTS)]
    for examiner in examiners:
        examiner.all(lists, random.Random(f"{examiner.asking.column} {seed}"))
    examiners[0].small_talk()
    return examiners, ask_clients(examiners[0], random.Random(f"clients {seed}"))


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
            examiners, told = examine(engine, options.lists, options.seed)
    rows = [*KINDS_OF_QUESTION, ALL_CAPTIONS, ANSWERS, FOLLOW, *pairs.MAKERS, PAIR, TALK]
    tally = {key: counts for examiner in examiners for key, counts in examiner.tally.items()}
    write_table(tally, [examiner.asking.column for examiner in examiners], rows, options.out)
    print("\n".join(told.lines()))
    for each in (*told.unended[:5], *told.repeating[:5], *told.invalid[:5]):
        print("!", each)
    print(f"{time.monotonic() - begun:.0f} s")
    misses = [miss for examiner in examiners for miss in examiner.misses]
    for miss in random.Random(0).sample(misses, min(options.misses, len(misses))):
        print(miss)


if __name__ == "__main__":
    main()
