"""What a model will need, judged by its files before it was ever loaded. Opens no model, no device."""

from __future__ import annotations

from pathlib import Path

from hailo_common.engine.place import ModelNeeds
from hailo_common.errors import DeviceLost, ModelError
from hailo_common.inference.backend import choose_backend, graph_size, probe
from hailo_common.inference.model_dir import ModelDir
from hailo_vision.config import VisionSettings

_MIB = 1024 * 1024
_LIBRARIES = 96 * _MIB
"""An engine process before it has read any weights."""
_ON_CHIP = 256 * _MIB
"""An engine process whose model lies on the chip."""
_GRAPHS = ("vision_encoder", "embed_tokens", "decoder_model_merged")


def model_needs(settings: VisionSettings, folder: Path) -> ModelNeeds:
    """The needs of the model in a folder; a folder that is not there yet has next to none."""
    hef = any(folder.glob("*.hef"))
    try:
        chip = hef and choose_backend(settings.backend, probe(), hef=hef).backend == "npu"
    except (DeviceLost, ModelError):
        # The load says what is wrong.
        chip = settings.backend == "npu"
    if chip:
        return ModelNeeds(_ON_CHIP, chip=True)
    caches = settings.conversation_cache_mb + settings.picture_cache_mb
    return ModelNeeds(_LIBRARIES + _weights(folder), growth=caches * _MIB)


def _weights(folder: Path) -> int:
    """Bytes of the files that the CPU would load."""
    found = [graph for graph in map(ModelDir(folder).find_onnx, _GRAPHS) if graph]
    return sum(map(graph_size, found)) + sum(each.stat().st_size for each in folder.glob("*.gguf"))
