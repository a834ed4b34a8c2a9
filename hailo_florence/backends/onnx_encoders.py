"""Vision encoder and text encoder as ONNX graphs.

Names follow the community exports (`pixel_values` → `image_features`, `attention_mask` + `inputs_embeds` →
`last_hidden_state`); types and sizes are the graphs' own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hailo_common.backends.onnx import Graph
from hailo_common.engine.contract import Picture
from hailo_common.errors import ModelError
from hailo_florence.backends.stages import Embedding, Floats
from hailo_florence.preprocess import Normaliser, PictureSettings

_PIXELS, _FEATURES = "pixel_values", "image_features"
_EMBEDS, _MASK, _HIDDEN = "inputs_embeds", "attention_mask", "last_hidden_state"


class OnnxVisionEncoder:
    """`vision_encoder.onnx`."""

    def __init__(self, graph: Graph, settings: PictureSettings) -> None:
        """Raises ModelError when the graph is another one, or made for another picture size."""
        graph.need([_PIXELS], [_FEATURES])
        target = settings.target
        fits = zip(graph.inputs[_PIXELS].shape, (1, 3, target.height, target.width), strict=False)
        if len(graph.inputs[_PIXELS].shape) != 4 or any(have not in (None, want) for have, want in fits):
            raise ModelError(
                f"{graph.path}: expected pictures of {target.width} x {target.height} pixels, "
                "as preprocessor_config.json says"
            )
        self._graph = graph
        self._normalise = Normaliser(settings, graph.inputs[_PIXELS].dtype)

    def encode(self, picture: Picture) -> Floats:
        """See `VisionEncoder.encode`."""
        return self._graph.run([_FEATURES], {_PIXELS: self._normalise(picture)})[0]

    def close(self) -> None:
        """See `VisionEncoder.close`."""
        self._graph.close()


class OnnxTextEncoder:
    """`encoder_model.onnx` behind the embedding, which stays its maker's."""

    length: int | None = None

    def __init__(self, graph: Graph, embed: Embedding) -> None:
        """Raises ModelError when the graph is another one."""
        graph.need([_MASK, _EMBEDS], [_HIDDEN])
        self._graph = graph
        self._embed = embed

    def encode(self, features: Floats, ids: Sequence[int]) -> Floats:
        """See `TextEncoder.encode`."""
        cast = self._graph.cast
        sequence = np.concatenate([cast(_EMBEDS, features), cast(_EMBEDS, self._embed(ids))], axis=1)
        mask = np.ones(sequence.shape[:2], self._graph.inputs[_MASK].dtype)
        return self._graph.run([_HIDDEN], {_EMBEDS: sequence, _MASK: mask})[0]

    def close(self) -> None:
        """See `TextEncoder.close`."""
        self._graph.close()
