"""Export a Florence-2 of transformers to a folder laid out as the community's ONNX ones.

`python -m training.onnx.export_florence CHECKPOINT OUT [--split] [--variants fp16 int8]`
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import onnx
from transformers import Florence2ForConditionalGeneration

from training.onnx.model_files import write_settings
from training.onnx.onnx_graphs import merge_decoders
from training.onnx.onnx_trace import export_parts
from training.onnx.onnx_variants import as_float16, as_int8, as_q4

VARIANTS: dict[str, Callable[[onnx.ModelProto], onnx.ModelProto]] = {
    "": lambda part: part,
    "fp16": as_float16,
    "int8": as_int8,
    "q4": as_q4,
}


def export(
    model: Florence2ForConditionalGeneration,
    tokenizer: Path,
    folder: Path,
    side: int,
    *,
    split: bool = False,
    merged: bool = True,
    variants: Sequence[str] = ("",),
) -> None:
    """Write the whole folder; `tokenizer` holds `tokenizer.json` and `tokenizer_config.json`."""
    (folder / "onnx").mkdir(parents=True, exist_ok=True)
    model = model.eval().float()
    write_settings(model, tokenizer, folder, side)
    parts = export_parts(model, side)
    for variant in variants:
        made = {name: VARIANTS[variant](part) for name, part in parts.items()}
        if merged:
            made["decoder_model_merged"] = merge_decoders(
                made["decoder_model"], made["decoder_with_past_model"]
            )
        ending = f"_{variant}" if variant else ""
        for name, part in made.items():
            if split or name not in ("decoder_model", "decoder_with_past_model"):
                onnx.save(part, str(folder / "onnx" / f"{name}{ending}.onnx"))


def main() -> None:
    """Export a checkpoint folder that holds the model and its tokenizer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--side", type=int, default=128, help="width and height of the model's picture in pixels"
    )
    parser.add_argument("--split", action="store_true", help="also write the two separate decoders")
    parser.add_argument("--variants", nargs="*", default=[], choices=["fp16", "int8"])
    options = parser.parse_args()
    model = Florence2ForConditionalGeneration.from_pretrained(options.checkpoint, attn_implementation="eager")
    export(
        model,
        options.checkpoint,
        options.out,
        options.side,
        split=options.split,
        variants=["", *options.variants],
    )


if __name__ == "__main__":
    main()
