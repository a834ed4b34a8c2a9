"""The torch model of an exported folder: weights are read back from the ONNX files, bit for bit."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from transformers import Florence2Config, Florence2ForConditionalGeneration

from training.onnx.onnx_graphs import SAME_AS, TRANSPOSED
from training.onnx.onnx_halves import HALVED

FILES = ("vision_encoder", "embed_tokens", "encoder_model", "decoder_model_merged", "decoder_model")
_LANGUAGE = ("model.language_model.", "lm_head.")


def _weights_of(path: Path) -> dict[str, torch.Tensor]:
    """Weights in one file under their torch names."""
    model = onnx.load(str(path))
    found: dict[str, torch.Tensor] = {}
    for item in model.graph.initializer:
        name, value = item.name.removesuffix(HALVED), torch.from_numpy(numpy_helper.to_array(item).copy())
        value = value.float() if name != item.name else value
        transposed = name.endswith(TRANSPOSED)
        found[name.removesuffix(TRANSPOSED)] = value.T.contiguous() if transposed else value
    for entry in model.metadata_props:
        if entry.key == SAME_AS:
            found.update({name: found[other].clone() for name, other in json.loads(entry.value).items()})
    return found


def state_dict_from_onnx(folder: Path) -> dict[str, torch.Tensor]:
    """All weights of an exported folder (its float32 files) under the names of the torch model."""
    found: dict[str, torch.Tensor] = {}
    for name in FILES:
        path = folder / "onnx" / f"{name}.onnx"
        if path.exists():
            found.update(_weights_of(path))
    return found


def load_model(folder: Path, *, vision: bool = True) -> Florence2ForConditionalGeneration:
    """The exact torch model of an exported folder, in float32, for evaluation.

    Without `vision` its vision part may be another one in the folder, and is left as it begins.
    """
    config = Florence2Config.from_json_file(str(folder / "config.json"))
    model = Florence2ForConditionalGeneration._from_config(config, attn_implementation="eager")
    weights = state_dict_from_onnx(folder)
    names = set(model.state_dict())
    kept = {name: value for name, value in weights.items() if name in names}
    shared = weights["model.language_model.shared.weight"]
    for side in ("encoder", "decoder"):
        kept[f"model.language_model.{side}.embed_tokens.weight"] = shared
    wanted = names if vision else {name for name in names if name.startswith(_LANGUAGE)}
    absent = [name for name in wanted - set(kept) if not name.endswith("pos_idx_to_embed")]
    if absent:
        raise ValueError(f"{folder} lacks {', '.join(sorted(absent))}")
    model.load_state_dict(kept, strict=False)
    return model.eval()
