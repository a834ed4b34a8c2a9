"""Qwen2-VL models with random weights, for tests and the benchmark.

`python -m training.chat.qwen_random SIZE OUT` with SIZE one of a, b, bench, 2b, and 2b-vision: four layers
of a 2b's vision part, whose memory does not add up over layers.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

from training.chat.qwen_tokenizer import END_OF_TEXT, IM_END, build_chat_tokenizer, save_chat_files, token_id
from training.onnx.export_qwen import PIXELS, export

WORDS = ("a red circle and two blue squares", "Which image has more objects?")


@dataclass(frozen=True)
class Vision:
    """Measures of the vision part; `pixels` are the least and the most of a resized picture."""

    depth: int
    width: int
    heads: int
    ratio: int
    patch: int = 14
    merge: int = 2
    temporal: int = 2
    pixels: tuple[int, int] = PIXELS


@dataclass(frozen=True)
class Size:
    """Measures of a model; `vocabulary` is the least number of tokens.

    `sections` share half a head between time, rows and columns. `ends` are ordinary tokens that end an
    answer too: random models seldom choose the special ones. `flat` is the layout of `config.json`.
    """

    vision: Vision
    width: int
    layers: int
    heads: tuple[int, int]
    ffn: int
    sections: tuple[int, int, int]
    theta: float = 1e6
    vocabulary: int = 0
    positions: int = 32768
    tied: bool = True
    ends: tuple[int, ...] = ()
    flat: bool = True


SIZES = {
    "a": Size(
        Vision(2, 32, 2, 2, patch=6, pixels=(12 * 12 * 4, 12 * 12 * 24)),
        *(48, 2, (4, 2), 80, (2, 1, 3)),
        theta=1e4,
        vocabulary=360,
        positions=700,
        ends=(40, 80, 120, 160, 200, 240),
    ),
    "b": Size(
        Vision(3, 24, 3, 4, patch=4, merge=3, temporal=1, pixels=(12 * 12 * 2, 12 * 12 * 14)),
        *(40, 3, (5, 1), 56, (1, 2, 1)),
        vocabulary=401,
        positions=900,
        tied=False,
        flat=False,
    ),
    "bench": Size(
        Vision(8, 768, 12, 4), *(896, 12, (14, 2), 4864, (8, 12, 12)), vocabulary=32000, positions=8192
    ),
    "2b-vision": Size(Vision(4, 1280, 16, 4), *(1536, 1, (12, 2), 64, (16, 24, 24)), vocabulary=400),
    "2b": Size(Vision(32, 1280, 16, 4), *(1536, 28, (12, 2), 8960, (16, 24, 24)), vocabulary=151936),
}


def config_of(size: Size, tokenizer: Tokenizer) -> Qwen2VLConfig:
    """Settings of a model of this size that speaks the tokenizer's tokens."""
    vision = size.vision
    text = {
        "vocab_size": max(size.vocabulary, tokenizer.get_vocab_size()),
        "hidden_size": size.width,
        "intermediate_size": size.ffn,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads[0],
        "num_key_value_heads": size.heads[1],
        "max_position_embeddings": size.positions,
        "rms_norm_eps": 1e-6,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": size.theta,
            "mrope_section": list(size.sections),
        },
        "bos_token_id": token_id(tokenizer, END_OF_TEXT),
        "eos_token_id": token_id(tokenizer, IM_END),
    }
    return Qwen2VLConfig(
        text_config=text,
        vision_config={
            "depth": vision.depth,
            "embed_dim": vision.width,
            "hidden_size": size.width,
            "num_heads": vision.heads,
            "mlp_ratio": vision.ratio,
            "patch_size": vision.patch,
            "spatial_merge_size": vision.merge,
            "temporal_patch_size": vision.temporal,
        },
        image_token_id=token_id(tokenizer, "<|image_pad|>"),
        video_token_id=token_id(tokenizer, "<|video_pad|>"),
        vision_start_token_id=token_id(tokenizer, "<|vision_start|>"),
        vision_end_token_id=token_id(tokenizer, "<|vision_end|>"),
        tie_word_embeddings=size.tied,
    )


@torch.no_grad()
def random_model(size: Size, tokenizer: Tokenizer, seed: int = 1) -> Qwen2VLForConditionalGeneration:
    """A model whose weights spread widely enough that its answers depend on pictures and words."""
    torch.manual_seed(seed)
    model = Qwen2VLForConditionalGeneration._from_config(
        config_of(size, tokenizer), attn_implementation="eager"
    )
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1:
            fan = parameter[0].numel()
            parameter.normal_(std=0.3 if "embed_tokens" in name else 1.6 / fan**0.5)
        elif name.endswith("weight"):
            parameter.normal_(mean=1.0, std=0.1)
        else:
            parameter.normal_(std=0.1)
    ends = [token_id(tokenizer, token) for token in (IM_END, END_OF_TEXT)]
    generation = model.generation_config
    generation.bos_token_id = generation.pad_token_id = ends[1]
    generation.eos_token_id = [*ends, *size.ends] if size.ends else ends[0]
    return model.eval()


def write_random_model(
    folder: Path, size: Size, seed: int = 1, *, variants: tuple[str, ...] = ("",)
) -> Qwen2VLForConditionalGeneration:
    """Export a random model with its tokenizer and chat template to a folder, and return it."""
    tokenizer = build_chat_tokenizer(list(WORDS))
    model = random_model(size, tokenizer, seed)
    with tempfile.TemporaryDirectory() as texts:
        save_chat_files(tokenizer, Path(texts), size.positions)
        export(model, Path(texts), folder, size.vision.pixels, flat=size.flat, variants=variants)
    return model


def main() -> None:
    """Write one of the named sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", choices=list(SIZES))
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--variants", nargs="*", default=[], choices=["fp16", "int8"])
    options = parser.parse_args()
    write_random_model(options.out, SIZES[options.size], options.seed, variants=("", *options.variants))


if __name__ == "__main__":
    main()
