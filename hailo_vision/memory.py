"""Memory: what the configuration's keys come to on this machine, and what a model will need.

A model is judged by its files before it was ever loaded. Opens no model, no device.
"""

from __future__ import annotations

from pathlib import Path

from hailo_common.engine.place import ModelNeeds
from hailo_common.errors import DeviceLost, ModelError
from hailo_common.inference.backend import choose_backend, graph_size, probe
from hailo_common.inference.model_dir import ModelDir
from hailo_common.systemd import memory
from hailo_common.systemd.memory import machine_bytes
from hailo_vision.config import VisionSettings

_MB, _GIB = 1 << 20, 1 << 30
_IMAGE_TOKENS = ((12 * _GIB, 1280), (6 * _GIB, 768), (3 * _GIB, 384))
_FEWEST = 192
CONVERSATION_SHARE, IMAGE_SHARE = 16, 64
"""Caches take at most one part in so many of the memory limit, whatever their own limits allow."""
_LIBRARIES = 96 * _MB
"""An engine process before it has read any weights."""
_ON_CHIP = 256 * _MB
"""An engine process whose model lies on the chip."""
_BESIDE_GGUF = 256 * _MB
"""Scratch memory of llama.cpp, and the process itself."""
_CONVERSATIONS = 8
"""A GGUF model sets one part in so many of the limit aside; at most a quarter, and small models less."""
_GRAPHS = ("vision_encoder", "embed_tokens", "decoder_model_merged")


def memory_limit(settings: VisionSettings) -> int:
    """Bytes that the service may use, 0 when unknown; see `hailo_common.systemd.memory.memory_limit`."""
    return memory.memory_limit(settings.memory_max_mb)[0]


def max_image_tokens(settings: VisionSettings, *, tiled: bool = False) -> int:
    """Tokens that an image may take: as configured, else what the machine can spare, 768 with 8 GB.

    A service that may use half of the machine or more counts as having it for itself. `tiled` is for models
    that cut images into tiles: they get half, since a token of theirs costs four times the encoder's work.
    """
    if settings.max_image_tokens:
        return settings.max_image_tokens
    size = min(2 * memory_limit(settings), machine_bytes())
    tokens = next((tokens for least, tokens in _IMAGE_TOKENS if size >= least), _FEWEST)
    return tokens // 2 if tiled else tokens


def model_needs(settings: VisionSettings, folder: Path) -> ModelNeeds:
    """The needs of the model in a folder; a folder that is not there yet has next to none."""
    hef = any(folder.glob("*.hef"))
    try:
        chip = (
            hef
            and choose_backend(settings.backend, probe(library=settings.hailort_python_path), hef=hef).backend
            == "npu"
        )
    except (DeviceLost, ModelError):
        # The load says what is wrong.
        chip = settings.backend == "npu"
    if chip:
        return ModelNeeds(_ON_CHIP, chip=True)
    limit = memory_limit(settings)
    if gguf := [each.stat().st_size for each in ModelDir(folder).gguf()]:
        return ModelNeeds(_BESIDE_GGUF + sum(gguf) + limit // _CONVERSATIONS)
    caches = (
        min(settings.conversation_cache_mb * _MB, limit // CONVERSATION_SHARE),
        min(settings.picture_cache_mb * _MB, limit // IMAGE_SHARE),
    )
    graphs = [graph for graph in map(ModelDir(folder).find_onnx, _GRAPHS) if graph]
    return ModelNeeds(_LIBRARIES + sum(map(graph_size, graphs)), growth=sum(caches))
