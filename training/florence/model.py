"""Architecture of the demo model: a real Florence-2, only very small."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import BartConfig, Florence2Config, Florence2ForConditionalGeneration

IMAGE_SIZE = 128
GRID = 8
BOS, PAD, EOS, UNK = 0, 1, 2, 3


def text_config(
    *, vocabulary: int, width: int, layers: tuple[int, int], heads: int, ffn: int, positions: int
) -> BartConfig:
    """Settings of the BART part; `layers` counts encoder and decoder layers."""
    return BartConfig(
        vocab_size=vocabulary,
        d_model=width,
        encoder_layers=layers[0],
        decoder_layers=layers[1],
        encoder_attention_heads=heads,
        decoder_attention_heads=heads,
        encoder_ffn_dim=ffn,
        decoder_ffn_dim=ffn,
        max_position_embeddings=positions,
        bos_token_id=BOS,
        pad_token_id=PAD,
        eos_token_id=EOS,
        decoder_start_token_id=EOS,
        forced_bos_token_id=None,
        forced_eos_token_id=EOS,
        dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        tie_word_embeddings=True,
    )


def vision_config(
    dims: tuple[int, ...],
    depths: tuple[int, ...],
    heads: tuple[int, ...],
    *,
    width: int,
    window: int,
    stride: tuple[int, ...] = (4, 2, 2, 2),
) -> dict[str, Any]:
    """Settings of the DaViT part; `width` is the language width that it projects to."""
    return {
        "depths": list(depths),
        "embed_dim": list(dims),
        "num_heads": list(heads),
        "num_groups": list(heads),
        "patch_stride": list(stride),
        "window_size": window,
        "projection_dim": width,
        "drop_path_rate": 0.0,
    }


def demo_config(vocabulary: int, image_token: int) -> Florence2Config:
    """The demo model: 128 px to 8 x 8 + 1 image tokens, about 2.6 million parameters."""
    return Florence2Config(
        vision_config=vision_config(
            (32, 64, 128, 128), (1, 1, 2, 1), (2, 4, 4, 4), width=128, window=8, stride=(4, 2, 2, 1)
        ),
        text_config=text_config(
            vocabulary=vocabulary, width=128, layers=(2, 2), heads=4, ffn=512, positions=512
        ),
        image_token_id=image_token,
        bos_token_id=BOS,
        pad_token_id=PAD,
        eos_token_id=EOS,
    )


def build(config: Florence2Config) -> Florence2ForConditionalGeneration:
    """A model with the library's own initial weights, eager attention, in float32."""
    config._attn_implementation = "eager"
    return Florence2ForConditionalGeneration._from_config(config, attn_implementation="eager")


@torch.no_grad()
def initialise(model: Florence2ForConditionalGeneration) -> None:
    """Overwrite the library's initial weights: its std of 0.02 never learns to look."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and name != "lm_head":
            nn.init.xavier_uniform_(module.weight)
        elif isinstance(module, nn.Conv2d) and module.groups == 1:
            nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, nn.Embedding):
            positions = "image_position_embed" in name
            nn.init.normal_(module.weight, std=0.5 if positions else 0.09)
