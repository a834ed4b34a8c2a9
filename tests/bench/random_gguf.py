"""GGUF models of real sizes with random weights: what they answer is nonsense, what they cost is not.

`python -m tests.bench.random_gguf qwen2-vl-2b OUT`; made once, and kept in the cache of the benchmark.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from tests.hailo_vision.gguf.tiny import Sizes, write_family
from tools.gguf_export.files import MODEL, PROJECTOR, Tensor, write_model, write_projector

TEXTS = Path("hailo_vision/demo_model")
SMOLVLM_256M = Sizes(
    width=576, heads=9, shared=3, ffn=1536, layers=30, context=8192, tokens=49280,
    sight=768, sight_heads=12, sight_ffn=3072, sight_layers=12,
)  # fmt: skip
FAMILIES = {"smolvlm-256m": ("smolvlm", SMOLVLM_256M)}
"""Sizes of the families that `tiny` writes; 8 bits throughout."""
_VISION_2B = {
    "depth": 32, "embed_dim": 1280, "hidden_size": 1536, "num_heads": 16, "mlp_ratio": 4,
    "patch_size": 14, "spatial_merge_size": 2,
}  # fmt: skip
SIZES: dict[str, dict[str, Any]] = {
    "qwen2-vl-2b": {
        "vocab_size": 151936, "hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28,
        "num_attention_heads": 12, "num_key_value_heads": 2, "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-6, "rope_theta": 1e6, "rope_scaling": {"mrope_section": [16, 24, 24]},
        "eos_token_id": 772, "vision_config": _VISION_2B,
    },
}  # fmt: skip
_PROCESSOR = {
    "min_pixels": 56 * 56,
    "max_pixels": 12845056,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
Q4, Q8 = gguf.GGMLQuantizationType.Q4_0, gguf.GGMLQuantizationType.Q8_0
_WEIGHTS = np.random.default_rng(1)


def matrix(name: str, rows: int, columns: int, kind: gguf.GGMLQuantizationType) -> Tensor:
    """Random blocks whose numbers spread as those of a trained matrix do."""
    block, size = gguf.GGML_QUANT_SIZES[kind]
    count = rows * columns // block
    made = _WEIGHTS.integers(0, 256, (count, size), np.uint8)
    spread = columns**-0.5 / (4.6 if kind == Q4 else 74)
    made[:, :2] = np.array([spread], np.float16).view(np.uint8)
    return name, made.reshape(rows, -1), kind


def vector(name: str, size: int, value: float = 0.0) -> Tensor:
    """Equal numbers."""
    return name, np.full(size, value, np.float32), None


def text_tensors(config: Mapping[str, Any]) -> Iterator[Tensor]:
    """The language model, 4 bits throughout."""
    width, ffn = config["hidden_size"], config["intermediate_size"]
    shared = width // config["num_attention_heads"] * config["num_key_value_heads"]
    yield matrix("token_embd.weight", config["vocab_size"], width, Q4)
    yield vector("output_norm.weight", width, 1)
    for layer in range(config["num_hidden_layers"]):
        block = f"blk.{layer}"
        for name in ("attn_norm", "ffn_norm"):
            yield vector(f"{block}.{name}.weight", width, 1)
        for name, size in (("q", width), ("k", shared), ("v", shared)):
            yield matrix(f"{block}.attn_{name}.weight", size, width, Q4)
            yield vector(f"{block}.attn_{name}.bias", size)
        yield matrix(f"{block}.attn_output.weight", width, width, Q4)
        yield matrix(f"{block}.ffn_gate.weight", ffn, width, Q4)
        yield matrix(f"{block}.ffn_up.weight", ffn, width, Q4)
        yield matrix(f"{block}.ffn_down.weight", width, ffn, Q4)


def vision_tensors(vision: Mapping[str, Any]) -> Iterator[Tensor]:
    """The projector, 8 bits."""
    width, out = vision["embed_dim"], vision["hidden_size"]
    ffn, merged = width * vision["mlp_ratio"], width * 4
    for name in ("v.patch_embd.weight", "v.patch_embd.weight.1"):
        shape = (width, 3, vision["patch_size"], vision["patch_size"])
        yield name, (_WEIGHTS.standard_normal(shape) * 0.02).astype(np.float16), None
    for layer in range(vision["depth"]):
        block = f"v.blk.{layer}"
        for name in ("ln1", "ln2"):
            yield vector(f"{block}.{name}.weight", width, 1)
            yield vector(f"{block}.{name}.bias", width)
        for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
            yield matrix(f"{block}.{name}.weight", width, width, Q8)
            yield vector(f"{block}.{name}.bias", width)
        yield matrix(f"{block}.ffn_up.weight", ffn, width, Q8)
        yield vector(f"{block}.ffn_up.bias", ffn)
        yield matrix(f"{block}.ffn_down.weight", width, ffn, Q8)
        yield vector(f"{block}.ffn_down.bias", width)
    yield vector("v.post_ln.weight", width, 1)
    yield vector("v.post_ln.bias", width)
    yield matrix("mm.0.weight", merged, merged, Q8)
    yield vector("mm.0.bias", merged)
    yield matrix("mm.2.weight", out, merged, Q8)
    yield vector("mm.2.bias", out)


def write(size: str, out: Path) -> None:
    """Write both files and a model card, unless they are there."""
    if (out / "model_card.json").exists():
        return
    if size in FAMILIES:
        family, sizes = FAMILIES[size]
        write_family(family, out, sizes, lambda name, rows, columns: matrix(name, rows, columns, Q8))
        (out / "model_card.json").write_text(json.dumps({"name": size}), encoding="utf-8")
        return
    config = SIZES[size]
    out.mkdir(parents=True, exist_ok=True)
    write_model(out / MODEL, config, TEXTS, text_tensors(config), filler=gguf.TokenType.NORMAL)
    write_projector(out / PROJECTOR, config, _PROCESSOR, vision_tensors(config["vision_config"]))
    (out / "model_card.json").write_text(json.dumps({"name": size}), encoding="utf-8")


def main() -> None:
    """Write one of the sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", choices=[*SIZES, *FAMILIES])
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    write(options.size, options.out)


if __name__ == "__main__":
    main()
