"""What a model family must say of itself, for the engine to serve its models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hailo_common.engine.contract import RgbImage
from hailo_common.images.resize import ResizeSpec
from hailo_common.inference.onnx import Graph
from hailo_common.inference.onnx_edits import Edit
from hailo_vision.onnx.prompt import ImageInput, ImageSpan
from hailo_vision.onnx.stages import VisionEncoder


class Family(Protocol):
    """One model folder, read by the family it belongs to."""

    @property
    def positions(self) -> int:
        """Tokens of the model's own longest context."""
        ...

    @property
    def context(self) -> int:
        """Tokens of prompt and answer together: as asked for, at most `positions`."""
        ...

    @property
    def width(self) -> int:
        """Numbers of one embedded token."""
        ...

    @property
    def head(self) -> tuple[int, int]:
        """(key-value heads, size of a head) of the decoder."""
        ...

    @property
    def image_token(self) -> int:
        """The token that stands once for each token of an image."""
        ...

    @property
    def max_image_tokens(self) -> int:
        """The most tokens that one image takes."""
        ...

    @property
    def vision_edits(self) -> Sequence[Edit]:
        """How the vision encoder's graph is changed before it is loaded."""
        ...

    @property
    def resize(self) -> ResizeSpec:
        """What the decoder process makes of an image."""
        ...

    def image_input(self, image: RgbImage) -> ImageInput:
        """Raises ValueError for an image that the decoder process did not make for `resize`."""
        ...

    def token_positions(self, length: int, spans: Sequence[ImageSpan]) -> tuple[NDArray[np.int64], int]:
        """Positions of `length` tokens, shape (3, 1, length), and the one that the next token gets."""
        ...

    def vision_encoder(self, graph: Graph) -> VisionEncoder:
        """The first stage over its graph; raises ModelError when the graph is another one."""
        ...
