"""The JSON files of a model folder in the Hugging Face layout, as the community's exports have them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import Florence2ForConditionalGeneration, PretrainedConfig, PreTrainedModel

GENERATION = {
    "bos_token_id": 0,
    "pad_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
    "forced_bos_token_id": 0,
    "forced_eos_token_id": 2,
    "early_stopping": True,
    "no_repeat_ngram_size": 3,
    "num_beams": 3,
}


def _preprocessor(side: int, tokens: int) -> dict[str, Any]:
    size = {"height": side, "width": side}
    return {
        "image_processor_type": "CLIPImageProcessor",
        "processor_class": "Florence2Processor",
        "do_convert_rgb": True,
        "do_resize": True,
        "do_center_crop": False,
        "do_rescale": True,
        "do_normalize": True,
        "size": size,
        "crop_size": size,
        "resample": 3,
        "rescale_factor": 1 / 255,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
        "image_seq_length": tokens,
    }


def config_of(model: PreTrainedModel) -> dict[str, Any]:
    """The settings of the language part and the vision part in full, without the library's own."""
    config = model.config.to_diff_dict() | {"architectures": [type(model).__name__]}
    for part in (model.config.text_config, model.config.vision_config):
        name = "text_config" if part is model.config.text_config else "vision_config"
        general = PretrainedConfig().to_dict()
        config[name] = {
            key: value
            for key, value in part.to_dict().items()
            if (key not in general or value != general[key] or key.endswith("_token_id"))
            and "label" not in key
        }
    return {key: value for key, value in config.items() if not key.startswith("_")}


def write_json(path: Path, content: dict[str, Any]) -> None:
    """One setting a line, indented."""
    path.write_text(json.dumps(content, indent=2) + "\n")


def image_tokens(model: Florence2ForConditionalGeneration, side: int) -> int:
    """How many image tokens a picture of `side` x `side` pixels becomes."""
    with torch.no_grad():
        return int(model.get_image_features(torch.zeros(1, 3, side, side)).pooler_output.shape[1])


def write_settings(
    model: Florence2ForConditionalGeneration,
    tokenizer: Path,
    folder: Path,
    side: int,
    tokens: int | None = None,
) -> None:
    """Write all files of the folder but the graphs; `tokenizer` holds the tokenizer's two.

    `tokens` is how many a picture becomes, where the model's own vision part does not say it.
    """
    write_json(folder / "config.json", config_of(model))
    write_json(folder / "generation_config.json", GENERATION)
    write_json(folder / "preprocessor_config.json", _preprocessor(side, tokens or image_tokens(model, side)))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tokenizer / name, folder / name)
