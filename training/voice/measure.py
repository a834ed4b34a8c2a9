"""Measure a model folder on lists it has never seen, through the service's own engine.

`python -m training.voice.measure [FOLDER] [--cases N] [--out FILE.md]` prints Markdown tables. The lists take
the detector's place in the vision encoder's file; everything else is what the service runs.
"""

from __future__ import annotations

import argparse
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from hailo_common.engine.contract import RgbImage
from hailo_florence.build import BackendOptions
from hailo_florence.engine import FlorenceEngine
from hailo_florence.model.places import find_places
from hailo_florence.protocol import TASKS, FlorenceRequest, FlorenceResult
from training.eye.graphs import FEATURES, THINGS
from training.things.foreign_lists import foreign
from training.things.lists import sample
from training.things.places import PROMPTS, overlap
from training.things.view import EMPTY_ROW, ROWS, Thing, tensor_rows
from training.voice.samples import CAPTIONS, SHARES, Sample, about

MAKERS = {"own": sample, "foreign": foreign}
NAMES = {
    **dict(zip(CAPTIONS, ("caption", "detailed_caption", "more_detailed_caption"), strict=True)),
    **{"od": "od", "dense regions": "dense_region_caption", "proposals": "region_proposal"},
    **{"grounding": "caption_to_phrase_grounding", "open vocabulary": "open_vocabulary_detection"},
    **{"region category": "region_to_category", "region description": "region_to_description"},
}
PIXEL = np.zeros((1, 1, 3), np.uint8)
THRICE = re.compile(r"\b(\w+)\W+\1\W+\1\b", re.IGNORECASE)


class Lists:
    """Stands for the vision encoder: gives the features of the list it was shown last."""

    def __init__(self, folder: Path) -> None:
        """Take from the folder's vision encoder what comes after its detector."""
        part = behind_detector(folder / "onnx" / "vision_encoder.onnx")
        self._session = onnxruntime.InferenceSession(part.SerializeToString())
        self._features: NDArray[np.float32] = np.zeros((1, 1, 1), np.float32)

    def show(self, things: list[Thing]) -> None:
        """The list of the next answers."""
        rows = np.array([tensor_rows(things)], np.float32)
        self._features = self._session.run(None, {THINGS: rows})[0]

    def encode(self, image: RgbImage) -> NDArray[np.float32]:
        """See `hailo_florence.model.stages.VisionEncoder`."""
        del image
        return self._features

    def close(self) -> None:
        """Nothing is held."""


def behind_detector(path: Path) -> onnx.ModelProto:
    """What a vision encoder's file does behind its eye: from `things` to `image_features`."""
    whole = onnx.load(str(path))
    shape = [1, ROWS, len(EMPTY_ROW)]
    whole.graph.value_info.append(onnx.helper.make_tensor_value_info(THINGS, onnx.TensorProto.FLOAT, shape))
    part = onnx.utils.Extractor(whole).extract_model([THINGS], [FEATURES])
    del part.graph.value_info[:]
    return part


class Speaker:
    """The service's engine, shown lists instead of pictures."""

    def __init__(self, folder: Path) -> None:
        self._lists = Lists(folder)
        self._engine = FlorenceEngine(folder, BackendOptions("cpu", 1, {}))
        self._engine.load()
        stages = self._engine._stages
        assert stages is not None
        self._engine._stages = replace(stages, vision=self._lists)

    def ask(self, case: Sample, most: int = 300, beams: int = 1) -> FlorenceResult:
        """The answer to a sample's prompt."""
        self._lists.show(case.things)
        *_, last = self._engine.run(replace(request_of(case, most), num_beams=beams), [PIXEL])
        assert isinstance(last, FlorenceResult)
        return last

    def features(self, things: list[Thing]) -> NDArray[np.float32]:
        """What the language part is given for a list."""
        self._lists.show(things)
        return self._lists.encode(PIXEL)

    def close(self) -> None:
        """Release the engine."""
        self._engine.close()


def request_of(case: Sample, most: int) -> FlorenceRequest:
    """What the service is asked."""
    if case.kind not in NAMES:
        return FlorenceRequest(task="vqa", question=case.prompt.removeprefix("<VQA>"), max_length=most)
    task = NAMES[case.kind]
    if TASKS[task].takes == "region":
        region = tuple(int(step) for step in re.findall(r"<loc_(\d+)>", case.prompt))
        return FlorenceRequest(task=task, region=region, max_length=most)
    if TASKS[task].takes == "text":
        before = PROMPTS[case.kind].split("{}")
        text = case.prompt.removeprefix(before[0]).removesuffix(before[1])
        return FlorenceRequest(task=task, question=text, max_length=most)
    return FlorenceRequest(task=task, max_length=most)


@dataclass
class Tally:
    """Right answers and cases, overlaps of boxes, and what was wrong."""

    right: int = 0
    cases: int = 0
    overlaps: list[float] = field(default_factory=list)
    misses: list[tuple[str, str, str]] = field(default_factory=list)


def cases(maker: str, count: int, seed: int, *, held: bool) -> Iterator[Sample]:
    """So many cases of each kind."""
    for kind in SHARES:
        for number in range(count):
            rng = random.Random(f"held out {maker} {seed} {kind} {number}")
            things = MAKERS[maker](rng)
            yield Sample(kind, things, *about(things, kind, rng, held=held))


def boxes_of(case: Sample, said: FlorenceResult) -> list[float]:
    """Overlap of each box that is wanted with the one said in its place, 0 where there is none."""
    gives = TASKS[NAMES[case.kind]].gives if case.kind in NAMES else "text"
    if gives == "text":
        return []
    wanted, found = (find_places(text, gives, None, frozenset()) for text in (case.answer, said.raw))
    made = [tuple(place["box"]) if "box" in place else (0.0,) * 4 for place in found]
    pairs = [tuple(place["box"]) for place in wanted]
    made += [(0.0, 0.0, 0.0, 0.0)] * (len(pairs) - len(made))
    return [overlap(one, other) for one, other in zip(pairs, made, strict=False)]


def measure(speaker: Speaker, found: Iterator[Sample]) -> dict[str, Tally]:
    """Every kind's tally."""
    tallies: dict[str, Tally] = defaultdict(Tally)
    for case in found:
        said, tally = speaker.ask(case), tallies[case.kind]
        text = said.raw.replace("<s>", "").replace("</s>", "")
        tally.cases += 1
        tally.right += text == case.answer
        tally.overlaps += boxes_of(case, said)
        if text != case.answer:
            tally.misses.append((case.prompt, text, case.answer))
    return dict(tallies)


def clients(speaker: Speaker, count: int, seed: int) -> dict[str, int]:
    """How many long prompts were answered, cut, answered with a word three times, and answered as wanted."""
    found = {"prompts": 0, "cut": 0, "repeating": 0, "as wanted": 0}
    for number in range(count):
        rng = random.Random(f"clients {seed} {number}")
        things = foreign(rng)
        kind = "strange" if number % 5 == 4 else "client"
        case = Sample(kind, things, *about(things, kind, rng, held=True))
        said = speaker.ask(case, 100)
        found["prompts"] += 1
        found["cut"] += said.finish_reason != "stop"
        found["repeating"] += THRICE.search(said.text) is not None
        found["as wanted"] += said.text == case.answer
    return found


def grouped(tallies: dict[str, Tally]) -> dict[str, Tally]:
    """The kinds, and before them all captions and all answers together."""
    sums = {"captions": Tally(), "answers": Tally(), "places": Tally()}
    for kind, tally in tallies.items():
        name = "captions" if kind in CAPTIONS else "places" if kind in NAMES else "answers"
        sums[name].right += tally.right
        sums[name].cases += tally.cases
        sums[name].overlaps += tally.overlaps
    return {**sums, **tallies}


def table(columns: dict[str, dict[str, Tally]]) -> str:
    """Percent right (cases), and the mean overlap of boxes, kinds down and ways of measuring across."""
    lines = ["| kind | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for kind in next(iter(columns.values())):
        cells = []
        for found in columns.values():
            tally = found[kind]
            cell = f"{100 * tally.right / tally.cases:.1f} ({tally.cases})"
            boxes = f", IoU {np.mean(tally.overlaps):.3f}" if tally.overlaps else ""
            cells.append(cell + boxes)
        lines.append(f"| {kind.removeprefix('vqa ')} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("hailo_florence/everyday_model"))
    parser.add_argument("--cases", type=int, default=100, help="of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--misses", type=int, default=0, help="how many wrong texts of each kind to print")
    parser.add_argument("--out", type=Path, help="file whose tables of this kind are replaced")
    options = parser.parse_args()
    speaker = Speaker(options.folder)
    ways = {
        "other lists": ("foreign", False),
        "other lists, other wording": ("foreign", True),
        "lists as trained": ("own", False),
    }
    columns = {
        name: grouped(measure(speaker, cases(maker, options.cases, options.seed, held=held)))
        for name, (maker, held) in ways.items()
    }
    made = table(columns)
    print(made, clients(speaker, 200, options.seed))
    for name, found in columns.items():
        for kind, tally in found.items():
            for miss in tally.misses[: options.misses]:
                print(name, kind, *(text[:250] for text in miss), sep=" | ")
    if options.out:
        text = options.out.read_text()
        old = re.search(r"^\| kind \| other lists (?:.*\n\|)*.*\n", text, re.MULTILINE)
        options.out.write_text(text.replace(old[0], made) if old else text + "\n" + made)
    speaker.close()


if __name__ == "__main__":
    main()
