"""Qwen2-VL as a family."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hailo_common.engine.contract import RgbImage
from hailo_common.inference.model_dir import ModelDir
from hailo_common.inference.onnx import Graph
from hailo_vision.onnx.families.qwen2_vl.config import read_model_config
from hailo_vision.onnx.families.qwen2_vl.positions import mrope_positions
from hailo_vision.onnx.families.qwen2_vl.preprocess import read_image_settings
from hailo_vision.onnx.families.qwen2_vl.vision_encoder import OnnxVisionEncoder
from hailo_vision.onnx.prompt import ImageInput, ImageSpan


class Qwen2VL:
    """See `hailo_vision.onnx.families.family.Family`."""

    def __init__(self, folder: ModelDir, max_model_len: int) -> None:
        """`max_model_len` 0 is the model's own. Raises ModelMissing or ModelError naming the file."""
        config = read_model_config(folder)
        self.positions, self.width, self.head = config.positions, config.width, config.head
        self.image_token = config.image_token
        self.context = min(max_model_len or config.positions, config.positions)
        self._settings = read_image_settings(folder, config, self.context)
        self.max_image_tokens = self._settings.max_tokens
        self.resize = self._settings.target()

    def image_input(self, image: RgbImage) -> ImageInput:
        """See `Family.image_input`."""
        grid = self._settings.grid(image)
        return ImageInput(image, grid, self._settings.tokens(grid))

    def token_positions(self, length: int, spans: Sequence[ImageSpan]) -> tuple[NDArray[np.int64], int]:
        """See `Family.token_positions`."""
        return mrope_positions(length, spans, self._settings.merge)

    def vision_encoder(self, graph: Graph) -> OnnxVisionEncoder:
        """See `Family.vision_encoder`."""
        return OnnxVisionEncoder(graph, self._settings)
