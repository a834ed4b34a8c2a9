"""Florence-2 as transformers runs it, with the weights of an exported folder.

Needs torch, transformers and onnx: import this inside tests and fixtures only, so that collecting the tests
needs none of them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from PIL import Image
from tokenizers import Tokenizer
from transformers import (
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
    GenerationConfig,
)
from transformers import PreTrainedTokenizerFast as FastTokenizer
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

PARTS = ("vision_encoder", "embed_tokens", "encoder_model", "decoder_model_merged", "decoder_model")


class Reference:
    """Model and processor of transformers for one folder in the layout of the community's ONNX exports."""

    def __init__(self, folder: Path, model: Florence2ForConditionalGeneration | None = None) -> None:
        """Take the weights from the folder's ONNX files, whose initializers keep their torch names."""
        self.model = model if model is not None else weights_of(folder)
        self.model.generation_config = GenerationConfig.from_pretrained(folder)
        tokenizer = FastTokenizer(
            tokenizer_object=Tokenizer.from_file(str(folder / "tokenizer.json")),
            bos_token="<s>",
            eos_token="</s>",
            pad_token="<pad>",
            unk_token="<unk>",
            extra_special_tokens={"image_token": "<image>"},
        )
        self.pictures = picture_processor(folder)
        self.processor = Florence2Processor(image_processor=self.pictures, tokenizer=tokenizer)

    def generate(self, picture: NDArray[np.uint8], prompt: str, **settings: Any) -> list[int]:
        """Greedy token ids after the start token, as generate() returns them; `prompt` as people write it."""
        inputs = self.processor(text=prompt, images=Image.fromarray(picture), return_tensors="pt")
        settings = {"num_beams": 1, "do_sample": False, "early_stopping": False, **settings}
        with torch.no_grad():
            tokens = self.model.generate(**inputs, **settings)
        listed: list[int] = tokens[0].tolist()
        return listed[1:]

    def scores(self, picture: NDArray[np.uint8], prompt: str, tokens: list[int]) -> NDArray[np.float32]:
        """Raw scores after each of `tokens`, which are fed to the decoder, (len(tokens), vocabulary)."""
        inputs = self.processor(text=prompt, images=Image.fromarray(picture), return_tensors="pt")
        with torch.no_grad():
            made = self.model(**inputs, decoder_input_ids=torch.tensor([tokens])).logits[0]
        listed: NDArray[np.float32] = made.numpy()
        return listed

    def text(self, tokens: list[int]) -> str:
        """The caption or answer as the documented example of transformers decodes it, without outer space."""
        texts: list[str] = self.processor.batch_decode(
            [tokens], skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return texts[0].strip()


def picture_processor(folder: Path) -> Any:
    """The image processor of transformers that works with Pillow."""
    return CLIPImageProcessorPil.from_pretrained(folder)


def weights_of(folder: Path) -> Florence2ForConditionalGeneration:
    """The torch model of a folder, with the weights found in its ONNX files; fails if one is missing."""
    found: dict[str, torch.Tensor] = {}
    for part in PARTS:
        path = folder / "onnx" / f"{part}.onnx"
        if path.exists():
            found |= _weights_in(onnx.load(path))
    config = Florence2Config.from_pretrained(folder)
    model = Florence2ForConditionalGeneration._from_config(config, attn_implementation="eager").eval().float()
    tied = {"lm_head.weight", "model.language_model.decoder.embed_tokens.weight"}
    lost = [name for name in model.state_dict() if name not in found and not _same(name, found, tied)]
    if lost:
        raise LookupError(f"{folder}: no initializer for {lost[:5]}")
    model.load_state_dict({name: found[name] for name in model.state_dict() if name in found}, strict=False)
    return model


def _weights_in(part: onnx.ModelProto) -> dict[str, torch.Tensor]:
    """Initializers by torch name: `.T` marks transposed ones, `same_as` lists dropped equals."""
    found: dict[str, torch.Tensor] = {}
    for item in part.graph.initializer:
        value = torch.from_numpy(numpy_helper.to_array(item).copy())
        found[item.name.removesuffix(".T")] = value.T if item.name.endswith(".T") else value
    for entry in part.metadata_props:
        if entry.key == "same_as":
            found |= {name: found[kept] for name, kept in json.loads(entry.value).items() if kept in found}
    return found


def _same(name: str, found: dict[str, torch.Tensor], tied: set[str]) -> bool:
    """Whether the tensor is filled otherwise: tied to the shared embedding, or no weight but a count."""
    return name in tied or name.endswith(("embed_tokens.weight", "num_batches_tracked"))
