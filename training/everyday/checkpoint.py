"""The torch model of an exported folder whose eye is a graph: weights bit for bit, the eye as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime
import torch
from torch import nn
from transformers import Qwen2VLForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutputWithPooling

from training.chat import qwen_checkpoint


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
    model = qwen_checkpoint.load_model(folder, vision=False)
    merge = model.config.vision_config.spatial_merge_size
    model.model.visual = GraphEye(folder / "onnx" / "vision_encoder.onnx", merge)
    return model.eval()
