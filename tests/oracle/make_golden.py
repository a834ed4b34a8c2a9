"""Write what transformers answers into `tests/golden/`. Needs torch, transformers and onnx.

`python -m tests.oracle.make_golden [florence-random-a florence-demo vision-random-a ...]`.
Run it again whenever a model folder changes.
"""

from __future__ import annotations

import argparse
import json
import random
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers

from hailo_common.inference.model_dir import ModelDir
from hailo_florence.model.preprocess import read_image_settings
from tests.hailo_florence import demo
from tests.hailo_florence.cases import DEMO, FOLDERS, GOLDEN, SETTINGS, Case, cases, formula_image
from tests.hailo_vision import conversations
from tests.oracle.expect import configure, expected
from tests.oracle.expect_qwen import vision_answers
from tests.oracle.reference import Reference
from training.scenes.language import KINDS
from training.scenes.language import question as make_question
from training.scenes.render import compressed, draw
from training.scenes.scenes import Scene, sample_scene

MADE_WITH = {"torch": torch.__version__, "transformers": transformers.__version__}


def random_answers(folder: Path) -> list[dict[str, Any]]:
    """Every case on a random model, with tokens and text."""
    reference = Reference(folder)
    side = read_image_settings(ModelDir(folder)).target.width
    rows = []
    for settings in SETTINGS:
        configure(reference, folder, settings)
        for case in cases(settings):
            tokens = expected(reference, case, formula_image(side, case.image))
            row = {**case.to_json(), "tokens": tokens}
            if "eos_token_id" not in SETTINGS[settings]:  # else transformers shows ends as text
                row["text"] = reference.text(tokens)
            rows.append(row)
    return rows


def demo_answers() -> list[dict[str, Any]]:
    """A caption and one answer for each of the demo's pictures, which are drawn here and stored as JPEG."""
    reference = Reference(DEMO)
    configure(reference, DEMO, "as exported")
    target = read_image_settings(ModelDir(DEMO)).target
    files, asked = [], []
    for number in range(demo.IMAGES):
        rng = random.Random(demo.SEED + number)
        scene = sample_scene(rng)
        small = draw(scene, rng).convert("RGB").resize((target.width, target.height), 3)
        files.append(compressed(small, 75))
        asked.append(_question(scene, number, rng))
    demo.write_images(files)
    rows = []
    for number, image in enumerate(demo.images()):
        for question, truth in ((None, None), asked[number]):
            case = Case(number, question, 30, None, "as exported")
            tokens = expected(reference, case, image)
            rows.append({**case.to_json(), "tokens": tokens, "text": reference.text(tokens), "truth": truth})
    return rows


def _question(scene: Scene, number: int, rng: random.Random) -> tuple[str, str]:
    """A question about the scene and its true answer; kinds take turns."""
    for offset in range(len(KINDS)):
        made = make_question(scene, KINDS[(number + offset) % len(KINDS)], rng)
        if made is not None:
            return made.text, made.answer
    raise LookupError("no question fits the scene")


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """One row a line, so that a change shows as few lines."""
    GOLDEN.mkdir(exist_ok=True)
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    text = f'{{"made_with": {json.dumps(MADE_WITH)},\n"rows": [\n{lines}\n]}}\n'
    path.write_text(text, encoding="utf-8")


def florence_answers(name: str) -> list[dict[str, Any]]:
    """The rows of one Florence-2 folder."""
    return demo_answers() if name == "demo" else random_answers(FOLDERS[name])


def main() -> None:
    """Write the named files, or all whose model folders are there."""
    makers = {
        **{f"florence-{name}": partial(florence_answers, name) for name in (*FOLDERS, "demo")},
        **{f"vision-{name}": partial(vision_answers, name) for name in (*conversations.FOLDERS, "demo")},
    }
    present = [name for name in makers if name != "vision-demo" or conversations.demo_is_there()]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=present, choices=list(makers))
    for name in parser.parse_args().names:
        write(GOLDEN / f"{name}.json", makers[name]())


if __name__ == "__main__":
    main()
