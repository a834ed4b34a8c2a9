"""Measure on labelled photographs what is said of them, by the eye's own list and by the services behind it.

`python -m training.eye.evaluate_eye [--florence FOLDER] [--vision FOLDER] [--out FILE.md]` prints a Markdown
table. The services' own image decoder and engines are asked; the list is told in the words of
`training/things/`, which is what a language part without a fault would say.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from hailo_common.engine.contract import RgbImage
from hailo_common.files import write_atomic
from hailo_common.images.resize import ResizeSpec
from hailo_florence.build import BackendOptions
from hailo_florence.engine import FlorenceEngine
from hailo_florence.protocol import FlorenceRequest, FlorenceResult
from hailo_vision.onnx.engine import OnnxVisionEngine, make_onnx_engine
from hailo_vision.protocol import ChatMessage, Sampling, VisionRequest, VisionResult
from training.eye.measures import Scores, kinds_to_ask, kinds_to_count
from training.eye.photographs import Photograph, put_together
from training.eye.show import Eye
from training.eye.texts import is_yes, kinds_in, number_in
from training.scenes.seen import seen
from training.things.answers import exists
from training.things.captions import NUMBERS, short
from training.things.kinds import NUMBER_OF, plural_of, with_article
from training.things.view import Thing, View

ROWS = {
    "main": "the main thing is named",
    "true": "nothing is named that is not there",
    "others": "the same, of photographs of none of the 80 kinds",
    "there": "is there a ...",
    "counts": "how many, of one to four",
}
_BEGIN, _END = "<!-- photographs: begin -->\n", "<!-- photographs: end -->\n"
_MOST_TOKENS = 60


class Teller(Protocol):
    """Whoever says something of a photograph, in English."""

    def caption(self, photograph: Photograph) -> str:
        """A short description."""
        ...

    def is_there(self, photograph: Photograph, kind: str) -> str:
        """The answer to `Is there a KIND?`."""
        ...

    def how_many(self, photograph: Photograph, kind: str) -> str:
        """The answer to `How many KINDs are there?`."""
        ...


class Lists:
    """Tells the eye's own lists without a fault."""

    def __init__(self) -> None:
        self._eye = Eye()

    def _view(self, photograph: Photograph) -> View:
        with Image.open(photograph.file) as picture:
            rows = self._eye(picture).tolist()
        return View(
            [Thing(int(k), s, (a, b, c, d), int(colour), share) for k, s, a, b, c, d, colour, share in rows]
        )

    def caption(self, photograph: Photograph) -> str:
        """See `Teller`."""
        return short(self._view(photograph))

    def is_there(self, photograph: Photograph, kind: str) -> str:
        """See `Teller`."""
        return exists(self._view(photograph), NUMBER_OF[kind])

    def how_many(self, photograph: Photograph, kind: str) -> str:
        """See `Teller`."""
        return NUMBERS[self._view(photograph).count_of([NUMBER_OF[kind]])]


class Asked:
    """Asks an engine in English; `ask` takes the photograph as the decoder gives it, and the question."""

    def __init__(self, ask: Callable[[RgbImage, str], str], target: ResizeSpec, caption: str) -> None:
        self._ask, self._target, self._caption = ask, target, caption
        self._last: tuple[Photograph | None, RgbImage] = None, np.zeros((1, 1, 3), np.uint8)

    def _answer(self, photograph: Photograph, question: str) -> str:
        if self._last[0] is not photograph:
            self._last = photograph, seen(photograph.file.read_bytes(), self._target)
        return self._ask(self._last[1], question)

    def caption(self, photograph: Photograph) -> str:
        """See `Teller`."""
        return self._answer(photograph, self._caption)

    def is_there(self, photograph: Photograph, kind: str) -> str:
        """See `Teller`."""
        return self._answer(photograph, f"Is there {with_article(kind)} in the picture?")

    def how_many(self, photograph: Photograph, kind: str) -> str:
        """See `Teller`."""
        return self._answer(photograph, f"How many {plural_of(kind)} are there?")


def florence(engine: FlorenceEngine) -> Asked:
    """hailo-florence: captions, and questions of visual question answering."""
    size = engine.load().resize

    def ask(image: RgbImage, question: str) -> str:
        request = FlorenceRequest(task="caption", max_length=_MOST_TOKENS)
        if question:
            request = FlorenceRequest(task="vqa", question=question, max_length=_MOST_TOKENS)
        *_, last = engine.run(request, [image])
        assert isinstance(last, FlorenceResult)
        return last.text

    return Asked(ask, ResizeSpec(size.width, size.height), "")


def vision(engine: OnnxVisionEngine, target: ResizeSpec) -> Asked:
    """hailo-vision: a conversation of one question."""

    def ask(image: RgbImage, question: str) -> str:
        sampling = Sampling(seed=0, repetition=1.0)
        message = ChatMessage("user", (0, question))
        *_, last = engine.run(VisionRequest((message,), _MOST_TOKENS, sampling), [image])
        assert isinstance(last, VisionResult)
        return last.text

    return Asked(ask, target, "Describe this picture in one sentence.")


@dataclass(frozen=True)
class Column:
    """A column of the table: who was asked about which half."""

    head: str
    scores: Scores


def judge(teller: Teller, photographs: list[Photograph], *, told: bool = False) -> Scores:
    """Ask everything about every photograph; `told` prints the captions."""
    scores = Scores()
    for photograph in photographs:
        caption = teller.caption(photograph)
        if told:
            print(f"{photograph.path}: {caption}")
        scores.named(photograph, kinds_in(caption))
        asked, counted = kinds_to_ask(photograph), kinds_to_count(photograph)
        scores.answered(photograph, {kind: is_yes(teller.is_there(photograph, kind)) for kind in asked})
        scores.counted(photograph, {kind: number_in(teller.how_many(photograph, kind)) for kind in counted})
    return scores


def table(columns: list[Column]) -> str:
    """Percent right, with how many of how many."""
    lines = ["| | " + " | ".join(column.head for column in columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for row, name in ROWS.items():
        lines.append(
            f"| {name} | " + " | ".join(str(getattr(column.scores, row)) for column in columns) + " |"
        )
    return "\n".join(lines) + "\n"


def write_table(made: str, path: Path) -> None:
    """Put the table into a file, between its marks, or at its end."""
    text = path.read_text() if path.exists() else ""
    before, begin, rest = text.partition(_BEGIN)
    after = rest.partition(_END)[2]
    write_atomic(path, f"{before if begin else text}{_BEGIN}{made}{_END}{after}".encode())


def main() -> None:
    """Measure the list, and the services whose folders are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--florence", type=Path, help="model folder of hailo-florence")
    parser.add_argument("--vision", type=Path, help="model folder of hailo-vision")
    parser.add_argument("--told", action="store_true", help="print what is said of each photograph")
    parser.add_argument("--out", type=Path, help="file for the table; one in it is replaced")
    options = parser.parse_args()
    photographs = put_together()
    halves = {half: [item for item in photographs if item.reported is half] for half in (False, True)}
    lists = Lists()
    columns = [
        Column("the eye's list, tuning half", judge(lists, halves[False])),
        Column("the eye's list, reported half", judge(lists, halves[True])),
    ]
    with ExitStack() as stack:
        if options.florence:
            engine = stack.enter_context(FlorenceEngine(options.florence, BackendOptions("cpu", 1, {})))
            columns.append(Column("hailo-florence", judge(florence(engine), halves[True], told=options.told)))
        if options.vision:
            chat = stack.enter_context(make_onnx_engine({"model_dir": str(options.vision), "threads": 1}))
            asked = vision(chat, chat.load().resize)
            columns.append(Column("hailo-vision", judge(asked, halves[True], told=options.told)))
    made = table(columns)
    print(made)
    if options.out:
        write_table(made, options.out)


if __name__ == "__main__":
    main()
