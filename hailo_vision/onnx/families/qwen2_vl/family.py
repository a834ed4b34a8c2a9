"""Qwen2-VL as a family: its vision encoder, and M-RoPE, the position of each token in time, rows and columns.

Text counts all three alike. The tokens of an image stand at their place in its grid of merged patches, and
what follows goes on after the image's longest side. Source: transformers 5.23,
`Qwen2VLModel.get_rope_index`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hailo_common.engine.contract import RgbImage
from hailo_common.errors import ModelError
from hailo_common.inference.model_dir import ModelDir
from hailo_common.inference.onnx import Graph
from hailo_common.inference.onnx_edits import Edit, in_query_blocks
from hailo_common.inference.onnx_loop import QUERIES
from hailo_vision.onnx.families.qwen2_vl.config import read_model_config
from hailo_vision.onnx.families.qwen2_vl.preprocess import ImageSettings, Patcher, read_image_settings
from hailo_vision.onnx.prompt import ImageInput, ImageSpan
from hailo_vision.onnx.stages import Floats

_PIXELS, _GRID, _FEATURES = "pixel_values", "grid_thw", "image_features"
_CHANNELS = 3
_FLOAT = 4
FEW_SCORES = 16 << 20  # bytes, all heads of one layer
_STATES, _INNER, _SCORES = 6, 2, 3  # copies in memory at once; measured, see docs/performance.md


class OnnxVisionEncoder:
    """`vision_encoder.onnx`; one image at a time, since images do not look at each other there."""

    def __init__(self, graph: Graph, settings: ImageSettings, sizes: tuple[int, int, int]) -> None:
        """`sizes` are `ModelConfig.vision`. Raises ModelError for another graph, or one of other patches."""
        graph.need([_PIXELS, _GRID], [_FEATURES])
        width = _CHANNELS * settings.temporal * settings.patch**2
        declared = graph.inputs[_PIXELS].shape
        if len(declared) != 2 or declared[1] not in (None, width):
            raise ModelError(
                f"{graph.path}: expected patches of {width} numbers, as preprocessor_config.json says"
            )
        self._graph = graph
        self._settings = settings
        self._sizes = sizes
        self._patches = Patcher(settings, graph.inputs[_PIXELS].dtype)

    def encode(self, image: RgbImage) -> Floats:
        """See `VisionEncoder.encode`."""
        grid = np.array([self._settings.grid(image)], self._graph.inputs[_GRID].dtype)
        feeds = {_PIXELS: self._patches(image), _GRID: grid}
        return self._graph.run([_FEATURES], feeds, give_back=True)[0]

    def bytes_for(self, tokens: int) -> int:
        """See `VisionEncoder.bytes_for`: states of every patch, and the scores of those that are in work."""
        width, inner, heads = self._sizes
        patches = tokens * self._settings.merge**2
        rows = min(QUERIES, patches) if in_query_blocks in self._graph.edits else patches
        return _FLOAT * patches * (_STATES * width + _INNER * inner + _SCORES * heads * rows)

    def close(self) -> None:
        """See `VisionEncoder.close`."""
        self._graph.close()


def mrope_positions(length: int, spans: Sequence[ImageSpan], merge: int) -> tuple[NDArray[np.int64], int]:
    """Positions of `length` tokens, shape (3, 1, length), and the one that the next token gets.

    `spans` are in the prompt's order.
    """
    positions = np.empty((3, length), np.int64)
    done, position = 0, 0
    for span in spans:
        position = _text(positions, done, span.start, position)
        size = span.size(merge)
        done = span.start + size[0] * size[1] * size[2]
        positions[:, span.start : done] = np.indices(size).reshape(3, -1) + position
        position += max(size[1:])
    return positions[:, None], _text(positions, done, length, position)


def _text(positions: NDArray[np.int64], start: int, end: int, position: int) -> int:
    positions[:, start:end] = np.arange(position, position + end - start)
    return position + end - start


class Qwen2VL:
    """See `hailo_vision.onnx.families.family.Family`."""

    def __init__(self, folder: ModelDir, max_model_len: int, max_image_tokens: int = 0) -> None:
        """0 is the model's own `max_model_len` or `max_image_tokens`.

        Raises ModelMissing or ModelError naming the file.
        """
        config = read_model_config(folder)
        self.positions, self.width, self.head = config.positions, config.width, config.head
        self.image_token = config.image_token
        self._vision = config.vision
        self.context = min(max_model_len or config.positions, config.positions)
        self._settings = read_image_settings(folder, config, self.context, max_image_tokens)
        self.max_image_tokens = self._settings.max_tokens
        self.resize = self._settings.target()

    @property
    def vision_edits(self) -> Sequence[Edit]:
        """See `Family.vision_edits`: a loop costs a little, and pays where all scores at once are many."""
        patches = self.max_image_tokens * self._settings.merge**2
        return (in_query_blocks,) if _FLOAT * self._vision[2] * patches**2 > FEW_SCORES else ()

    def image_input(self, image: RgbImage) -> ImageInput:
        """See `Family.image_input`."""
        grid = self._settings.grid(image)
        return ImageInput(image, grid, self._settings.tokens(grid))

    def token_positions(self, length: int, spans: Sequence[ImageSpan]) -> tuple[NDArray[np.int64], int]:
        """See `Family.token_positions`."""
        return mrope_positions(length, spans, self._settings.merge)

    def vision_encoder(self, graph: Graph) -> OnnxVisionEncoder:
        """See `Family.vision_encoder`."""
        return OnnxVisionEncoder(graph, self._settings, self._vision)
