"""The JSON files of a Qwen2-VL folder in the Hugging Face layout, as the community's exports have them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from transformers import Qwen2VLForConditionalGeneration

from training.onnx.model_files import config_of, write_json

CHAT_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.json")
IMAGE_MEAN = (0.48145466, 0.4578275, 0.40821073)
IMAGE_STD = (0.26862954, 0.26130258, 0.27577711)


def _flat(config: dict[str, Any]) -> dict[str, Any]:
    """The settings as Qwen published them: those of the language part at the top, before transformers 5."""
    text = dict(config.pop("text_config"))
    rope = text.pop("rope_parameters")
    for name in ("model_type", "layer_types", "dtype"):
        text.pop(name, None)
    vision = config.pop("vision_config") | {"model_type": "qwen2_vl"}
    vision.pop("rope_parameters", None)
    vision["in_chans"] = vision["in_channels"]
    return {
        **text,
        **config,
        "rope_theta": rope["rope_theta"],
        "rope_scaling": {"type": "mrope", "mrope_section": rope["mrope_section"]},
        "vision_config": vision,
    }


def _preprocessor(
    model: Qwen2VLForConditionalGeneration, pixels: tuple[int, int], flat: bool
) -> dict[str, Any]:
    """Settings of the picture processor; `pixels` are the least and the most of a resized picture."""
    vision = model.config.vision_config
    if flat:
        limits: dict[str, Any] = {"min_pixels": pixels[0], "max_pixels": pixels[1]}
    else:
        limits = {"size": {"shortest_edge": pixels[0], "longest_edge": pixels[1]}}
    return {
        "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": "Qwen2VLProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "do_rescale": True,
        "do_normalize": True,
        **limits,
        "resample": 3,
        "rescale_factor": 1 / 255,
        "image_mean": list(IMAGE_MEAN),
        "image_std": list(IMAGE_STD),
        "patch_size": vision.patch_size,
        "temporal_patch_size": vision.temporal_patch_size,
        "merge_size": vision.spatial_merge_size,
    }


def write_settings(
    model: Qwen2VLForConditionalGeneration,
    texts: Path,
    folder: Path,
    pixels: tuple[int, int],
    *,
    flat: bool = True,
) -> None:
    """Write all files of the folder but the graphs; `texts` holds the tokenizer's files and the template.

    `flat` gives the layout that Qwen published, otherwise that of transformers 5.
    """
    config = config_of(model)
    write_json(folder / "config.json", _flat(config) if flat else config)
    generation = {"do_sample": False, "repetition_penalty": 1.0} | {
        name: value
        for name, value in model.generation_config.to_dict().items()
        if name in ("bos_token_id", "pad_token_id", "eos_token_id")
    }
    write_json(folder / "generation_config.json", generation)
    write_json(folder / "preprocessor_config.json", _preprocessor(model, pixels, flat))
    for name in CHAT_FILES:
        shutil.copyfile(texts / name, folder / name)
