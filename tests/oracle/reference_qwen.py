"""Qwen2-VL as transformers runs it, with the weights of an exported folder.

Needs torch, transformers and onnx: import this inside tests and fixtures only, so that collecting the tests
needs none of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import AutoTokenizer, GenerationConfig, Qwen2VLForConditionalGeneration, Qwen2VLProcessor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from training.chat.qwen_checkpoint import load_model


class _Processor(Qwen2VLProcessor):
    """Without the video processor, which would need torchvision."""

    def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
        if argument_name == "video_processor":
            return type(argument)
        return super().check_argument_for_proper_class(argument_name, argument)


class Reference:
    """Model and processor of transformers for one folder in the layout of the community's ONNX exports."""

    def __init__(self, folder: Path, model: Qwen2VLForConditionalGeneration | None = None) -> None:
        """Take the weights from the folder's ONNX files, whose initializers keep their torch names."""
        self.model = model if model is not None else load_model(folder)
        self.model.generation_config = GenerationConfig.from_pretrained(folder)
        template = json.loads((folder / "chat_template.json").read_text())["chat_template"]
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.processor = _Processor(
            image_processor=image_processor(folder), tokenizer=self.tokenizer, chat_template=template
        )

    def inputs(
        self, messages: Sequence[Mapping[str, Any]], images: Sequence[Image.Image]
    ) -> dict[str, torch.Tensor]:
        """What generate() takes; `messages` are those of the engine's request."""
        given = [_with_images(message, images) for message in messages]
        made = self.processor.apply_chat_template(
            given, tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt"
        )
        return dict(made)

    def generate(self, inputs: Mapping[str, torch.Tensor], max_tokens: int, **settings: Any) -> list[int]:
        """Greedy token ids of the answer, the end token included where there is one."""
        settings = {"do_sample": False, "num_beams": 1, **settings}
        with torch.no_grad():
            tokens = self.model.generate(**inputs, max_new_tokens=max_tokens, **settings)
        listed: list[int] = tokens[0, inputs["input_ids"].shape[1] :].tolist()
        return listed

    def positions(self, inputs: Mapping[str, torch.Tensor]) -> NDArray[np.int64]:
        """The positions of a prompt with pictures (3, 1, tokens)."""
        names = ("input_ids", "mm_token_type_ids", "image_grid_thw", "attention_mask")
        made, _ = self.model.model.get_rope_index(**{name: inputs[name] for name in names})
        listed: NDArray[np.int64] = made.numpy()
        return listed

    def text(self, tokens: Sequence[int]) -> str:
        """The answer as the documented example of transformers decodes it."""
        made: str = self.tokenizer.decode(
            tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return made


def _with_images(message: Mapping[str, Any], images: Sequence[Image.Image]) -> dict[str, Any]:
    """The same message with its pictures instead of their numbers."""
    content = [
        {"type": "image", "image": images[part["image"]]} if part["type"] == "image" else part
        for part in message["content"]
    ]
    return {"role": message["role"], "content": content}


def image_processor(folder: Path) -> Any:
    """The image processor of transformers that works with Pillow."""
    return Qwen2VLImageProcessorPil.from_pretrained(folder)
