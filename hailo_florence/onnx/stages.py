"""The stages of one model folder as ONNX graphs on the CPU, each loaded when it is asked for.

Vision encoder and text encoder as ONNX graphs.

Names follow the community exports (`pixel_values` → `image_features`, `attention_mask` + `inputs_embeds` →
`last_hidden_state`); types and sizes are the graphs' own.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hailo_common.engine.contract import RgbImage
from hailo_common.errors import ModelError, ModelMissing
from hailo_common.inference.backend import choose_threads, graph_size
from hailo_common.inference.model_dir import ModelDir
from hailo_common.inference.onnx import Graph, OnnxEmbedding
from hailo_florence.model.preprocess import ImageSettings, Normaliser
from hailo_florence.model.stages import Embedding, Floats
from hailo_florence.onnx.decoder import OnnxDecoder
from hailo_florence.onnx.int8_file import VisionFile

log = logging.getLogger(__name__)

_PIXELS, _FEATURES = "pixel_values", "image_features"
_EMBEDS, _MASK, _HIDDEN = "inputs_embeds", "attention_mask", "last_hidden_state"


class OnnxVisionEncoder:
    """`vision_encoder.onnx`."""

    def __init__(self, graph: Graph, settings: ImageSettings) -> None:
        """Raises ModelError when the graph is another one, or made for another image size."""
        graph.need([_PIXELS], [_FEATURES])
        target = settings.target
        fits = zip(graph.inputs[_PIXELS].shape, (1, 3, target.height, target.width), strict=False)
        if len(graph.inputs[_PIXELS].shape) != 4 or any(have not in (None, want) for have, want in fits):
            raise ModelError(
                f"{graph.path}: expected images of {target.width} x {target.height} pixels, "
                "as preprocessor_config.json says"
            )
        self._graph = graph
        self._normalise = Normaliser(settings, graph.inputs[_PIXELS].dtype)

    def encode(self, image: RgbImage) -> Floats:
        """See `VisionEncoder.encode`."""
        return self._graph.run([_FEATURES], {_PIXELS: self._normalise(image)})[0]

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


_VISION = "vision_encoder"
_MERGED = "decoder_model_merged"
_SPLIT = ("decoder_model", "decoder_with_past_model")


class OnnxStages:
    """Makes stages. Every method raises ModelMissing or ModelError naming the file."""

    def __init__(self, folder: ModelDir, threads: int, vision: VisionFile | None = None) -> None:
        """`threads=0` chooses by the size of each graph; `vision` is the vision encoder's file if another."""
        self._folder = folder
        self._threads = threads
        self._vision = vision
        self.notes: dict[str, str] = {}
        self._graphs: dict[str, Graph] = {}

    def embedding(self) -> OnnxEmbedding:
        """Token embedding."""
        return OnnxEmbedding(self._graph("embed_tokens"))

    def vision(self, settings: ImageSettings) -> OnnxVisionEncoder:
        """The vision encoder, from its 8-bit copy where that is wanted; `notes` then says so."""
        original = self._folder.onnx(_VISION)
        chosen = self._vision or VisionFile(original)
        try:
            graph = self._load(_VISION, chosen.path)
        except ModelError as error:
            if chosen.path == original:
                raise
            log.warning("%s", error)
            graph = self._load(_VISION, original)
            chosen = VisionFile(original, "float32: its 8-bit copy cannot be loaded")
        self.notes["vision_encoder"] = chosen.note
        return OnnxVisionEncoder(graph, settings)

    def text(self, embed: Embedding) -> OnnxTextEncoder:
        """The text encoder."""
        encoder = self._graph("encoder_model")
        self._follows(encoder, "inputs_embeds", "vision_encoder", "image_features")
        self._follows(encoder, "inputs_embeds", "embed_tokens", "inputs_embeds")
        return OnnxTextEncoder(encoder, embed)

    def decoder(self, embed: Embedding, head: tuple[int, int]) -> OnnxDecoder:
        """The decoder; `head` is as `OnnxDecoder` has it."""
        first, *rest = (self._graph(name) for name in self._decoder_names())
        self._follows(first, "inputs_embeds", "embed_tokens", "inputs_embeds")
        self._follows(first, "encoder_hidden_states", "encoder_model", "last_hidden_state")
        return OnnxDecoder(first, rest[0] if rest else first, embed, head)

    def _graph(self, name: str) -> Graph:
        return self._load(name, self._folder.onnx(name))

    def _load(self, name: str, path: Path) -> Graph:
        graph = self._graphs[name] = Graph(
            path, choose_threads(self._threads, graph_size(path)), folder=self._trusted(path)
        )
        return graph

    def _trusted(self, path: Path) -> Path:
        """The folder that a graph may reach: the model's, or that of our own copies."""
        return self._folder.path if path.is_relative_to(self._folder.path) else path.parent

    def _follows(self, graph: Graph, name: str, before: str, output: str) -> None:
        if before in self._graphs:
            graph.follows(name, self._graphs[before], output)

    def _decoder_names(self) -> tuple[str, ...]:
        """The merged decoder, or else those of the first and of the later steps."""
        if self._folder.find_onnx(_MERGED):
            return (_MERGED,)
        if any(self._folder.find_onnx(name) for name in _SPLIT):
            return _SPLIT
        raise ModelMissing(f"{self._folder.path / 'onnx' / _MERGED}.onnx: file is missing")
