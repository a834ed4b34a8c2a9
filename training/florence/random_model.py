"""Florence-2 models with random weights, for tests and the benchmark.

`python -m training.florence.random_model SIZE OUT` with SIZE one of a, b, places, base-384, base-768.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import Florence2Config, Florence2ForConditionalGeneration

from training.florence.model import build, text_config, vision_config
from training.florence.tokenizer import LOCATIONS, build_tokenizer, image_token_id, save_tokenizer
from training.onnx.export_florence import export

Four = tuple[int, int, int, int]


@dataclass(frozen=True)
class Size:
    """Measures of a model; `side` is the picture's in pixels, `vocabulary` the least number of tokens.

    `words` replaces the demo's language in the tokenizer: fewer tokens, a smaller file. `locations` is the
    number of its location tokens.
    """

    side: int
    width: int
    layers: tuple[int, int]
    heads: int
    ffn: int
    dims: Four
    depths: Four
    vision_heads: Four
    window: int
    vocabulary: int = 0
    positions: int = 128
    stride: Four = (4, 2, 2, 2)
    words: str | None = None
    locations: int = LOCATIONS


_PLACES = Size(
    64,
    32,
    (1, 2),
    2,
    40,
    (8, 12, 16, 24),
    (1, 1, 1, 1),
    (2, 2, 2, 4),
    4,
    0,
    300,
    (4, 2, 2, 1),
    "red cat",
    1000,
)
SIZES = {
    "places": _PLACES,
    "a": Size(
        64,
        32,
        (1, 2),
        2,
        40,
        (8, 12, 16, 24),
        (1, 1, 1, 1),
        (2, 2, 2, 4),
        4,
        301,
        96,
        (4, 2, 2, 1),
        "red cat",
    ),
    "b": Size(96, 48, (3, 1), 4, 56, (8, 16, 16, 32), (1, 1, 2, 1), (1, 2, 4, 4), 3, 433, 144),
    "base-384": Size(
        384, 768, (6, 6), 12, 3072, (128, 256, 512, 1024), (1, 1, 9, 1), (4, 8, 16, 32), 12, 51289, 1024
    ),
    "base-768": Size(
        768, 768, (6, 6), 12, 3072, (128, 256, 512, 1024), (1, 1, 9, 1), (4, 8, 16, 32), 12, 51289, 1024
    ),
}


def config_of(size: Size, tokenizer: Tokenizer) -> Florence2Config:
    """Settings of a model of this size that speaks the tokenizer's tokens."""
    vision = vision_config(
        size.dims, size.depths, size.vision_heads, width=size.width, window=size.window, stride=size.stride
    )
    vocabulary = max(size.vocabulary, tokenizer.get_vocab_size())
    text = text_config(
        vocabulary=vocabulary,
        width=size.width,
        layers=size.layers,
        heads=size.heads,
        ffn=size.ffn,
        positions=size.positions,
    )
    return Florence2Config(
        vision_config=vision,
        text_config=text,
        image_token_id=image_token_id(tokenizer),
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
    )


@torch.no_grad()
def random_model(size: Size, tokenizer: Tokenizer, seed: int = 0) -> Florence2ForConditionalGeneration:
    """A model whose weights spread widely enough that its answers depend on picture and prompt."""
    torch.manual_seed(seed)
    model = build(config_of(size, tokenizer)).eval()
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1:
            fan = parameter[0].numel()
            embedding = "embed" in name or "shared" in name
            parameter.normal_(std=0.5 if embedding else 1.6 / fan**0.5)
        elif name.endswith("weight"):
            parameter.normal_(mean=1.0, std=0.1)
        else:
            parameter.normal_(std=0.1)
    return model


def write_random_model(
    folder: Path, size: Size, seed: int = 0, *, split: bool = False, variants: tuple[str, ...] = ("",)
) -> Florence2ForConditionalGeneration:
    """Export a random model with its tokenizer to a folder, and return it."""
    tokenizer = build_tokenizer([size.words] if size.words else None, size.locations)
    model = random_model(size, tokenizer, seed)
    with tempfile.TemporaryDirectory() as texts:
        save_tokenizer(tokenizer, Path(texts), size.positions)
        export(model, Path(texts), folder, size.side, split=split, variants=variants)
    return model


def main() -> None:
    """Write one of the named sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", choices=list(SIZES))
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", action="store_true")
    parser.add_argument("--variants", nargs="*", default=[], choices=["fp16", "int8"])
    options = parser.parse_args()
    write_random_model(
        options.out, SIZES[options.size], options.seed, split=options.split, variants=("", *options.variants)
    )


if __name__ == "__main__":
    main()
