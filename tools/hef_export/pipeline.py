"""Picture and request to answer through the fixed-shape graphs, by the service's rules. No PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hailo_common.engine.contract import RgbImage
from hailo_common.inference.model_dir import ModelDir
from hailo_common.inference.onnx import Graph
from hailo_common.inference.sampling import Chooser
from hailo_florence.model.generation import Generation, LengthLimits, generate, read_generation_config
from hailo_florence.model.preprocess import read_image_settings
from hailo_florence.model.prompt import Prompts
from hailo_florence.onnx.stages import OnnxVisionEncoder
from tools.hef_export.window import FixedTextEncoder, Rows, WindowDecoder

AROUND_ANSWER = 2  # BOS and EOS take two of the window's steps


@dataclass(frozen=True)
class Answered:
    """Tokens of an answer, BOS and EOS included, and what the graphs were fed for its last token."""

    tokens: list[int]
    sequence: Rows
    states: Rows
    window: Rows


class FixedPipeline:
    """The model of `folder` with its language graphs replaced by two files."""

    def __init__(self, folder: Path, encoder: Path, decoder: Path) -> None:
        files = ModelDir(folder)
        self._rules = read_generation_config(files)
        self._prompts = Prompts(files, self._rules)
        vision = Graph(files.onnx("vision_encoder"), 1)
        self._vision = OnnxVisionEncoder(vision, read_image_settings(files))
        words = np.load(folder / "word_embedding.npy")
        self._text = FixedTextEncoder(encoder, words)
        self._decoder = WindowDecoder(decoder, words)

    @property
    def longest(self) -> int:
        """The longest answer in tokens for which the window has room."""
        return self._decoder.window - AROUND_ANSWER

    def answer(self, image: RgbImage, question: str | None = None) -> Answered:
        """A caption, or the answer to a question; ValueError for one that the encoder has no room for."""
        ids = self._prompts.encode("caption" if question is None else "vqa", question)
        features = self._vision.encode(image)
        sequence = self._text.embed(features, ids)
        decoding = self._decoder.start(self._text.encode(features, ids))
        steps = generate(decoding, self._rules, LengthLimits(self.longest), Chooser(), Generation())
        return Answered(list(steps), sequence, decoding.hidden, decoding.rows)
