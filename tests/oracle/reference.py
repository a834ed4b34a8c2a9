"""Florence-2 as transformers runs it, with the weights of an exported folder.

Needs torch, transformers and onnx: import this inside tests and fixtures only, so that collecting the tests
needs none of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tokenizers import Tokenizer
from transformers import (
    Florence2ForConditionalGeneration,
    Florence2Processor,
    GenerationConfig,
)
from transformers import PreTrainedTokenizerFast as FastTokenizer
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from training.scenes.checkpoint import load_model


class Reference:
    """Model and processor of transformers for one folder in the layout of the community's ONNX exports."""

    def __init__(self, folder: Path, model: Florence2ForConditionalGeneration | None = None) -> None:
        """Take the weights from the folder's ONNX files, whose initializers keep their torch names."""
        self.model = model if model is not None else load_model(folder)
        self.model.generation_config = GenerationConfig.from_pretrained(folder)
        tokenizer = FastTokenizer(
            tokenizer_object=Tokenizer.from_file(str(folder / "tokenizer.json")),
            bos_token="<s>",
            eos_token="</s>",
            pad_token="<pad>",
            unk_token="<unk>",
            extra_special_tokens={"image_token": "<image>"},
        )
        self.images = image_processor(folder)
        self.processor = Florence2Processor(image_processor=self.images, tokenizer=tokenizer)

    def generate(self, image: NDArray[np.uint8], prompt: str, **settings: Any) -> list[int]:
        """Greedy token ids after the start token, as generate() returns them; `prompt` as people write it."""
        inputs = self.processor(text=prompt, images=Image.fromarray(image), return_tensors="pt")
        settings = {"num_beams": 1, "do_sample": False, "early_stopping": False, **settings}
        with torch.no_grad():
            tokens = self.model.generate(**inputs, **settings)
        listed: list[int] = tokens[0].tolist()
        return listed[1:]

    def scores(self, image: NDArray[np.uint8], prompt: str, tokens: list[int]) -> NDArray[np.float32]:
        """Raw scores after each of `tokens`, which are fed to the decoder, (len(tokens), vocabulary)."""
        inputs = self.processor(text=prompt, images=Image.fromarray(image), return_tensors="pt")
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


def image_processor(folder: Path) -> Any:
    """The image processor of transformers that works with Pillow."""
    return CLIPImageProcessorPil.from_pretrained(folder)
