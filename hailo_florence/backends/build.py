"""Builds the stages of one model folder, each on the backend chosen for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hailo_common.backends.choose import (
    Choice,
    choose_stages,
    choose_threads,
    graph_size,
    probe,
    stage_rows,
)
from hailo_common.errors import ModelError, ModelMissing
from hailo_common.folder import ModelFolder, section, whole_number
from hailo_florence.backends.stages import Stages
from hailo_florence.preprocess import PictureSettings

STAGES = ("vision_encoder", "text_encoder", "decoder")


@dataclass(frozen=True)
class Shape:
    """What the config says of the language part; sizes in numbers, positions in tokens."""

    positions: int
    heads: int
    width: int


def read_shape(folder: ModelFolder) -> Shape:
    """Read `config.json`; raises ModelError naming it when it is not one of a Florence-2."""
    text = section(folder.json("config.json"), "text_config", "config.json")
    positions, heads, width = (
        whole_number(text, key, "config.json")
        for key in ("max_position_embeddings", "decoder_attention_heads", "d_model")
    )
    if not positions or not heads or width % heads:
        raise ModelError("config.json: expected positions, heads and a d_model that the heads divide")
    return Shape(positions, heads, width)


def build_stages(
    folder: ModelFolder, settings: PictureSettings, shape: Shape, *, wanted: str, threads: int
) -> Stages:
    """Load all stages; `threads=0` chooses. Raises ModelMissing, ModelError or DeviceLost."""
    return _cpu_stages(folder, settings, shape, threads, choose_stages(STAGES, wanted, probe()))


def _cpu_stages(
    folder: ModelFolder,
    settings: PictureSettings,
    shape: Shape,
    threads: int,
    choices: Mapping[str, Choice],
) -> Stages:
    from hailo_common.backends import onnx, onnx_embedding  # noqa: PLC0415 - native, so late
    from hailo_florence.backends import onnx_decoder, onnx_encoders  # noqa: PLC0415

    paths = {name: folder.onnx(name) for name in ("vision_encoder", "embed_tokens", "encoder_model")}
    paths |= {name: folder.onnx(name) for name in _decoder_names(folder)}
    graphs = {
        name: onnx.Graph(path, choose_threads(threads, graph_size(path))) for name, path in paths.items()
    }
    vision, embed, encoder, first, *rest = graphs.values()
    for graph, name, before, output in (
        (encoder, "inputs_embeds", vision, "image_features"),
        (encoder, "inputs_embeds", embed, "inputs_embeds"),
        (first, "inputs_embeds", embed, "inputs_embeds"),
        (first, "encoder_hidden_states", encoder, "last_hidden_state"),
    ):
        graph.follows(name, before, output)
    embedding = onnx_embedding.OnnxEmbedding(embed)
    head = (shape.heads, shape.width // shape.heads)
    return Stages(
        vision=onnx_encoders.OnnxVisionEncoder(vision, settings),
        text=onnx_encoders.OnnxTextEncoder(encoder, embedding),
        decoder=onnx_decoder.OnnxDecoder(first, rest[0] if rest else first, embedding, head),
        rows=stage_rows(choices, onnx.NAME),
    )


def _decoder_names(folder: ModelFolder) -> tuple[str, ...]:
    """The merged decoder, or else those of the first and of the later steps."""
    split = ("decoder_model", "decoder_with_past_model")
    if folder.find_onnx("decoder_model_merged"):
        return ("decoder_model_merged",)
    if any(folder.find_onnx(name) for name in split):
        return split
    raise ModelMissing(f"{folder.path / 'onnx' / 'decoder_model_merged.onnx'}: file is missing")
