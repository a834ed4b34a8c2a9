"""Model families, one folder each; `model_type` of a folder's `config.json` says which one reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hailo_common.errors import ModelError
from hailo_common.inference.model_dir import ModelDir
from hailo_vision.onnx.families.family import Family
from hailo_vision.onnx.families.qwen2_vl.family import Qwen2VL

FAMILIES: Mapping[str, Callable[[ModelDir, int, int], Family]] = {"qwen2_vl": Qwen2VL}
"""How to read a model folder, by `model_type`, with the longest context and the most tokens of an image."""

REFUSED = {
    "qwen3_vl": "the ONNX graphs published for Qwen3-VL turn the positions of image tokens wrongly (blocks"
    " instead of interleaved frequencies) and lack DeepStack, so it would misread images; use its GGUF files:"
    " hailo-ctl models fetch qwen3-vl-2b-instruct-gguf"
}
"""Models that people have as ONNX and that must not answer, by `model_type`, with the reason."""


def read_family(folder: ModelDir, max_model_len: int, max_image_tokens: int = 0) -> Family:
    """What the folder's family makes of it; raises ModelMissing, or ModelError for another family."""
    model_type = folder.json("config.json").get("model_type")
    make = FAMILIES.get(model_type) if isinstance(model_type, str) else None
    if isinstance(model_type, str) and model_type in REFUSED:
        raise ModelError(f"config.json: {REFUSED[model_type]}")
    if make is None:
        expected = " or ".join(map(repr, FAMILIES))
        raise ModelError(f"config.json: expected {expected} as 'model_type'")
    return make(folder, max_model_len, max_image_tokens)
