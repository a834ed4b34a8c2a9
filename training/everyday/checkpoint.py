"""The torch model of an exported folder whose eye is a graph: weights bit for bit, the eye as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime
import torch
from torch import nn
from transformers import GenerationConfig, Qwen2VLConfig, Qwen2VLForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutputWithPooling

from training.scenes.checkpoint import state_dict_from_onnx

VISUAL = "model.visual."


class GraphEye(nn.Module):
    """`vision_encoder.onnx` in the place of transformers' vision part."""

    def __init__(self, path: Path, merge: int) -> None:
        super().__init__()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.spatial_merge_size = merge
        self.dtype = torch.float32

    def forward(self, pixels: torch.Tensor, grid_thw: torch.Tensor, **_: Any) -> BaseModelOutputWithPooling:
        """Features of all pictures, one after the other: patches [patches, numbers] to [tokens, width]."""
        parts = torch.split(pixels, grid_thw.prod(1).tolist())
        made = [
            self._session.run(None, {"pixel_values": part.numpy(), "grid_thw": grid[None].numpy()})[0]
            for part, grid in zip(parts, grid_thw, strict=True)
        ]
        return BaseModelOutputWithPooling(pooler_output=torch.cat([torch.from_numpy(each) for each in made]))


def load_model(folder: Path) -> Qwen2VLForConditionalGeneration:
    """transformers' model with the folder's language part and the folder's eye. ValueError for a lack."""
    config = Qwen2VLConfig.from_pretrained(folder)
    model = Qwen2VLForConditionalGeneration._from_config(config, attn_implementation="eager")
    found = state_dict_from_onnx(folder)
    wanted = {name: value for name, value in model.state_dict().items() if not name.startswith(VISUAL)}
    absent = sorted(wanted.keys() - found.keys())
    if absent:
        raise ValueError(f"{folder} lacks {', '.join(absent)}")
    kept = {name: found[name].reshape(value.shape) for name, value in wanted.items()}
    model.load_state_dict(kept, strict=False)
    merge = config.vision_config.spatial_merge_size
    model.model.visual = GraphEye(folder / "onnx" / "vision_encoder.onnx", merge)
    model.generation_config = GenerationConfig.from_pretrained(folder)
    return model.eval()
