"""The vision encoder as an ONNX graph: `pixel_values` and `grid_thw` → `image_features`."""

from __future__ import annotations

import numpy as np

from hailo_common.engine.contract import RgbImage
from hailo_common.errors import ModelError
from hailo_common.inference.onnx import Graph
from hailo_vision.onnx.families.qwen2_vl.preprocess import ImageSettings, Patcher
from hailo_vision.onnx.stages import Floats

_PIXELS, _GRID, _FEATURES = "pixel_values", "grid_thw", "image_features"
_CHANNELS = 3


class OnnxVisionEncoder:
    """`vision_encoder.onnx`; one image at a time, since images do not look at each other there."""

    def __init__(self, graph: Graph, settings: ImageSettings) -> None:
        """Raises ModelError when the graph is another one, or made for other patches."""
        graph.need([_PIXELS, _GRID], [_FEATURES])
        width = _CHANNELS * settings.temporal * settings.patch**2
        declared = graph.inputs[_PIXELS].shape
        if len(declared) != 2 or declared[1] not in (None, width):
            raise ModelError(
                f"{graph.path}: expected patches of {width} numbers, as preprocessor_config.json says"
            )
        self._graph = graph
        self._settings = settings
        self._patches = Patcher(settings, graph.inputs[_PIXELS].dtype)

    def encode(self, image: RgbImage) -> Floats:
        """See `VisionEncoder.encode`."""
        grid = np.array([self._settings.grid(image)], self._graph.inputs[_GRID].dtype)
        return self._graph.run([_FEATURES], {_PIXELS: self._patches(image), _GRID: grid})[0]

    def close(self) -> None:
        """See `VisionEncoder.close`."""
        self._graph.close()
