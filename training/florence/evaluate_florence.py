"""Measure a model folder on held-out scenes through the service's own image decoder and engine.

`python -m training.florence.evaluate_florence [FOLDER] [--scenes N] [--out FILE.md]` prints a Markdown table.
"""

from __future__ import annotations

import argparse
import io
import random
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hailo_common.engine.contract import RgbImage
from hailo_common.images.resize import ResizeSpec
from hailo_florence.build import BackendOptions
from hailo_florence.engine import FlorenceEngine
from hailo_florence.protocol import FlorenceRequest, FlorenceResult
from training.florence.progress import cases_of
from training.scenes.foreign_drawing import STYLES, foreign_file
from training.scenes.foreign_scenes import foreign_scene
from training.scenes.language import KINDS, RELATIONS
from training.scenes.render import compressed, draw
from training.scenes.scenes import Scene, sample_scene
from training.scenes.seen import seen

OWN, TINY = "own", "tiny"
LEAST = 0.04  # least radius over the longer side of what is held out; TINY has smaller ones, outside "all"
LARGE = 0.05  # least radius of the smallest object over the longer side
ROWS = [
    "caption 1",
    "caption 2",
    "caption 3",
    "captions",
    *(f"caption {count}, large" for count in (1, 2, 3)),
    *KINDS,
    *(f"relation {word}" for word in RELATIONS),
    "answers",
]
Tally = dict[tuple[str, str], list[int]]


@dataclass(frozen=True)
class Miss:
    """A wrong text, for the list of misses."""

    renderer: str
    number: int
    prompt: str
    said: str
    truth: str


def own_file(scene: Scene, rng: random.Random) -> bytes:
    """The scene drawn as for training, as a JPEG (two of five) or PNG file."""
    image = draw(scene, rng)
    if rng.random() < 0.4:
        return compressed(image, rng.randint(40, 95))
    memory = io.BytesIO()
    image.save(memory, "PNG", compress_level=1)
    return memory.getvalue()


def _sized(draw_scene: Callable[[random.Random], Scene], rng: random.Random, *, tiny: bool = False) -> Scene:
    """A scene whose smallest object is no smaller, or (`tiny`) smaller than the model is made for."""
    while True:
        scene = draw_scene(rng)
        if (scene.least_radius < LEAST) == tiny:
            return scene


def held_out(renderer: str, count: int, seed: int) -> Iterator[tuple[Scene, bytes]]:
    """Scenes that no training seed draws, with their picture files."""
    for index in range(count):
        rng = random.Random(f"held out {renderer} {seed} {index}")
        if renderer == OWN:
            scene = _sized(partial(sample_scene, margin=0.25), rng)
            yield scene, own_file(scene, rng)
        else:
            scene = _sized(foreign_scene, rng, tiny=renderer == TINY)
            yield scene, foreign_file(scene, rng.choice(STYLES) if renderer == TINY else renderer, rng)


def ask(engine: FlorenceEngine, image: RgbImage, prompt: str) -> str:
    """One greedy answer; a prompt that begins with `<VQA>` is a question, any other asks for the caption."""
    request = FlorenceRequest(task="caption", max_length=40)
    if prompt.startswith("<VQA>"):
        request = FlorenceRequest(task="vqa", question=prompt.removeprefix("<VQA>"), max_length=40)
    *_, last = engine.run(request, [image])
    assert isinstance(last, FlorenceResult)
    return last.text


def measure(
    engine: FlorenceEngine, target: ResizeSpec, renderer: str, count: int, seed: int
) -> tuple[Tally, list[Miss]]:
    """Right texts and cases for each kind, with what was wrong."""
    tally: Tally = defaultdict(lambda: [0, 0])
    misses: list[Miss] = []
    for number, (scene, data) in enumerate(held_out(renderer, count, seed)):
        image = seen(data, target)
        for kind, prompt, accepted in cases_of(scene, random.Random(number)):
            said = ask(engine, image, prompt)
            for row in _rows_of(kind, prompt, scene):
                tally[row, renderer][0] += said in accepted
                tally[row, renderer][1] += 1
            if said not in accepted:
                misses.append(Miss(renderer, number, prompt, said, accepted[0]))
    return tally, misses


def _rows_of(kind: str, prompt: str, scene: Scene) -> list[str]:
    """The rows of the table that a case counts in."""
    if kind.startswith("caption"):
        return [kind, "captions", *([f"{kind}, large"] if scene.least_radius >= LARGE else [])]
    if kind == "relation":
        return [kind, "answers", next(f"relation {word}" for word in RELATIONS if f" {word} " in prompt)]
    return [kind, "answers"]


def table(tally: Tally, renderers: list[str], rows: list[str]) -> str:
    """Percent right and number of cases, kinds down and renderers across; of several the sum comes last."""
    columns = [*renderers, "all"] if len(renderers) > 1 else renderers
    lines = ["| kind | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for row in rows:
        cells = [tally.get((row, renderer), [0, 0]) for renderer in renderers]
        counted = [cell for cell, renderer in zip(cells, renderers, strict=True) if renderer != TINY]
        cells.append([sum(cell[0] for cell in counted), sum(cell[1] for cell in counted)])
        lines.append(f"| {row} | " + " | ".join(map(_cell, cells[: len(columns)])) + " |")
    return "\n".join(lines) + "\n"


def _cell(cell: list[int]) -> str:
    return f"{100 * cell[0] / cell[1]:.1f} ({cell[1]})" if cell[1] else ""


def write_table(tally: Tally, renderers: list[str], rows: list[str], path: Path | None) -> None:
    """Print the table, and put it into a file, in the place of the table of kinds that it may hold."""
    made = table(tally, renderers, rows)
    print(made)
    if path is None:
        return
    text = path.read_text() if path.exists() else ""
    old = re.search(r"^\| kind \| own (?:.*\n\|)*.*\n", text, re.MULTILINE)
    path.write_text(text.replace(old[0], made) if old else made)


def main() -> None:
    """Measure a folder with all renderers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("hailo_florence/demo_model"))
    parser.add_argument("--scenes", type=int, default=400, help="scenes of each renderer")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--variant", default="")
    parser.add_argument("--misses", type=int, default=0, help="how many wrong texts to print")
    parser.add_argument("--out", type=Path, help="file for the table; one in it is replaced")
    options = parser.parse_args()
    renderers, begun = [OWN, *STYLES, TINY], time.monotonic()
    tally: Tally = {}
    misses: list[Miss] = []
    with FlorenceEngine(options.folder, BackendOptions("cpu", 1, {}), variant=options.variant) as engine:
        target = engine.load().resize
        target = ResizeSpec(target.width, target.height)
        for renderer in renderers:
            part, wrong = measure(engine, target, renderer, options.scenes, options.seed)
            tally |= part
            misses += wrong
    write_table(tally, renderers, ROWS, options.out)
    print(f"{time.monotonic() - begun:.0f} s")
    for miss in random.Random(0).sample(misses, min(options.misses, len(misses))):
        print(miss)


if __name__ == "__main__":
    main()
