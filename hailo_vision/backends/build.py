"""Builds the stages of one model folder, each on the backend chosen for it."""

from __future__ import annotations

from collections.abc import Mapping

from hailo_common.backends.choose import (
    Choice,
    choose_stages,
    choose_threads,
    graph_size,
    probe,
    stage_rows,
)
from hailo_common.folder import ModelFolder
from hailo_vision.backends.stages import Stages
from hailo_vision.preprocess import PictureSettings
from hailo_vision.shape import Shape

STAGES = ("vision_encoder", "decoder")
_FILES = ("vision_encoder", "embed_tokens", "decoder_model_merged")


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
    from hailo_vision.backends import onnx_decoder, onnx_vision  # noqa: PLC0415

    paths = [folder.onnx(name) for name in _FILES]
    vision, embed, decoder = (onnx.Graph(path, choose_threads(threads, graph_size(path))) for path in paths)
    decoder.follows("inputs_embeds", vision, "image_features")
    decoder.follows("inputs_embeds", embed, "inputs_embeds")
    return Stages(
        vision=onnx_vision.OnnxVisionEncoder(vision, settings),
        embed=onnx_embedding.OnnxEmbedding(embed),
        decoder=onnx_decoder.OnnxDecoder(decoder, shape.head, shape.positions),
        rows=stage_rows(choices),
    )
