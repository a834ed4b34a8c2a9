"""A Qwen2-VL folder for the NPU: one HEF of the whole model, and the JSON files beside it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from hailo_common.inference.model_dir import ModelDir
from tests.hailo_sim.hef_file import write_hef

NAME = "Qwen2-VL-2B-Instruct.hef"
_GRAPHS = {
    "vision_encoder": "vision_encoder",
    "embed_tokens": "embed_tokens",
    "decoder": "decoder_model_merged",
}


QWEN3_NAME = "Qwen3-VL-2B-Instruct.hef"
QWEN3_TEMPLATE = (
    "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' }}"
    "{%- if message.content is string %}{{- message.content }}"
    "{%- else %}{%- for part in message.content %}"
    "{%- if part.type == 'image' %}{{- '<|vision_start|><|image_pad|><|vision_end|>' }}"
    "{%- else %}{{- part.text }}{%- endif %}{%- endfor %}{%- endif %}"
    "{{- '<|im_end|>\\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
"""What Qwen3-VL's says: no system message of its own, unlike Qwen2-VL's."""


def write_vision(dest: Path, source: ModelDir, *, name: str = NAME, **chosen: Any) -> None:
    """Fill a folder that does not exist yet; `chosen` are entries of the HEF's JSON."""
    dest.mkdir(parents=True)
    for path in source.path.glob("*.json"):
        shutil.copy(path, dest)
    files = {name: source.onnx(graph).read_bytes() for name, graph in _GRAPHS.items()}
    files["tokenizer"] = (source.path / "tokenizer.json").read_bytes()
    write_hef(dest / name, {**_about(source), **chosen}, files)


def _about(source: ModelDir) -> dict[str, Any]:
    config, pixels = source.json("config.json"), source.json("preprocessor_config.json")
    ends = source.json("generation_config.json")["eos_token_id"]
    added = {item["id"]: item["content"] for item in source.json("tokenizer.json")["added_tokens"]}
    return {
        "kind": "vlm",
        "image_token": config["image_token_id"],
        "vocabulary": config["vocab_size"],
        "head": [config["num_key_value_heads"], config["hidden_size"] // config["num_attention_heads"]],
        "patch": pixels["patch_size"],
        "temporal": pixels["temporal_patch_size"],
        "merge": pixels["merge_size"],
        "rescale": pixels["rescale_factor"],
        "mean": pixels["image_mean"],
        "std": pixels["image_std"],
        "template": source.json("chat_template.json")["chat_template"],
        "stops": [added[end] for end in (ends if isinstance(ends, list) else [ends])],
    }
