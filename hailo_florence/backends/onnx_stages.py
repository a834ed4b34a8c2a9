"""The stages of one model folder as ONNX graphs on the CPU, each loaded when it is asked for."""

from __future__ import annotations

from hailo_common.backends.choose import choose_threads, graph_size
from hailo_common.backends.onnx import Graph
from hailo_common.backends.onnx_embedding import OnnxEmbedding
from hailo_common.errors import ModelMissing
from hailo_common.folder import ModelFolder
from hailo_florence.backends.onnx_decoder import OnnxDecoder
from hailo_florence.backends.onnx_encoders import OnnxTextEncoder, OnnxVisionEncoder
from hailo_florence.backends.stages import Embedding
from hailo_florence.preprocess import PictureSettings

_MERGED = "decoder_model_merged"
_SPLIT = ("decoder_model", "decoder_with_past_model")


class OnnxStages:
    """Makes stages. Every method raises ModelMissing or ModelError naming the file."""

    def __init__(self, folder: ModelFolder, threads: int) -> None:
        """`threads=0` chooses by the size of each graph."""
        self._folder = folder
        self._threads = threads
        self._graphs: dict[str, Graph] = {}

    def embedding(self) -> OnnxEmbedding:
        """Token embedding."""
        return OnnxEmbedding(self._graph("embed_tokens"))

    def vision(self, settings: PictureSettings) -> OnnxVisionEncoder:
        """The vision encoder."""
        return OnnxVisionEncoder(self._graph("vision_encoder"), settings)

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
        path = self._folder.onnx(name)
        graph = self._graphs[name] = Graph(path, choose_threads(self._threads, graph_size(path)))
        return graph

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
