"""What quantisation looks at: the inputs of both graphs for real requests. Needs no PyTorch."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from hailo_common.config.common_keys import CommonSettings
from hailo_common.engine.contract import RgbImage
from hailo_common.images.decode import decode
from hailo_common.images.resize import ResizeSpec
from hailo_common.service import image_limits
from hailo_florence.engine import make_engine
from hailo_florence.protocol import FlorenceRequest
from tools.hef_export.pipeline import FixedPipeline
from tools.hef_export.window import Rows
from training.scenes.render import view
from training.scenes.scenes import sample_scene

ENDINGS = (".jpg", ".jpeg", ".png", ".webp")


@dataclass
class Inputs:
    """Rows that were fed to the graphs, and how many answers were those of the ordinary pipeline."""

    encoder: list[Rows] = field(default_factory=list)
    states: list[Rows] = field(default_factory=list)
    windows: list[Rows] = field(default_factory=list)
    same: int = 0

    def arrays(self, decoder: str) -> tuple[Rows, dict[str, Rows]]:
        """For the encoder (n, 1, length, d); for the decoder, named `decoder`, such an array for each input.

        The compiler's layers have a height, a width and features: rows of embeddings have a height of 1.
        """
        layers = enumerate((self.states, self.windows), start=1)
        return np.stack(self.encoder), {f"{decoder}/input_layer{n}": np.stack(rows) for n, rows in layers}


def drawn_images(target: ResizeSpec, count: int, seed: int = 0) -> Iterator[RgbImage]:
    """Scenes of coloured shapes, as the demo model knows them, (height, width, 3) each."""
    rng = random.Random(seed)
    for _ in range(count):
        yield view(sample_scene(rng), (target.width, target.height), rng)


def read_images(folder: Path, target: ResizeSpec, count: int) -> Iterator[RgbImage]:
    """The first `count` picture files of a folder by name, decoded and resized as the service does.

    Raises ValueError naming a folder without pictures, ServiceError for a file that is none.
    """
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS)
    if not found:
        raise ValueError(f"{folder}: expected files ending in {', '.join(ENDINGS)}")
    limits = image_limits(CommonSettings())
    for path in found[:count]:
        made = decode(path.read_bytes(), replace(target, exact=True), limits)
        yield np.frombuffer(made.rgb, np.uint8).reshape(made.height, made.width, 3)


def gather(
    folder: Path, pipeline: FixedPipeline, images: Iterable[RgbImage], questions: Sequence[str]
) -> Inputs:
    """Caption each picture and ask each question about it, both here and through the folder's own graphs."""
    made = Inputs()
    with make_engine({"model_dir": str(folder), "backend": "cpu", "threads": 1}) as ordinary:
        ordinary.load()
        for image in images:
            for question in (None, *questions):
                answered = pipeline.answer(image, question)
                request = FlorenceRequest(
                    task="caption" if question is None else "vqa",
                    question=question,
                    max_length=pipeline.longest,
                )
                *tokens, _ = ordinary.run(request, [image])
                made.same += answered.tokens == tokens
                made.encoder.append(answered.sequence)
                made.states.append(answered.states)
                made.windows.append(answered.window)
    return made
