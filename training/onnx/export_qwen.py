"""Export a Qwen2-VL of transformers to a folder laid out as the community's ONNX ones.

`python -m training.onnx.export_qwen CHECKPOINT OUT [--pixels LEAST MOST] [--variants fp16 int8]`
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import onnx
from transformers import Qwen2VLForConditionalGeneration

from hailo_common.files import write_atomic
from hailo_common.inference.onnx_edits import in_query_blocks
from hailo_common.inference.onnx_file import OnnxFile
from training.onnx.export_florence import VARIANTS
from training.onnx.onnx_trace import is_large, weight_bytes
from training.onnx.qwen_files import write_settings
from training.onnx.qwen_onnx import export_parts

VISION = "vision_encoder"
PIXELS = (56 * 56, 14 * 14 * 4 * 1280)


def export(
    model: Qwen2VLForConditionalGeneration,
    texts: Path,
    folder: Path,
    pixels: tuple[int, int] = PIXELS,
    *,
    flat: bool = True,
    variants: Sequence[str] = ("",),
) -> None:
    """Write the whole folder.

    `texts` holds what `save_chat_files` writes; `pixels` are the least and the most of a resized picture;
    `flat` gives `config.json` the layout that Qwen published, otherwise that of transformers 5.
    """
    (folder / "onnx").mkdir(parents=True, exist_ok=True)
    model = model.eval().float()
    write_settings(model, texts, folder, pixels, flat=flat)
    parts = export_parts(model)
    for variant in variants:
        ending = f"_{variant}" if variant else ""
        for name, part in parts.items():
            _save(VARIANTS[variant](part), folder / "onnx" / f"{name}{ending}.onnx")


def _save(part: onnx.ModelProto, path: Path) -> None:
    """Write one graph, large weights beside it in a file of their own, as the community names it."""
    outside = is_large(weight_bytes(part))
    onnx.save(part, str(path), save_as_external_data=outside, location=f"{path.name}_data")
    if path.name.startswith(VISION):
        _loop_over_queries(path)


def _loop_over_queries(path: Path) -> None:
    """Have attention computed in blocks of queries: whatever runs the file needs no square of patches."""
    file = OnnxFile(path)
    if not in_query_blocks(file):
        raise ValueError(f"{path}: the attention is not recognised")
    write_atomic(path, file.to_bytes(whole=True))


def main() -> None:
    """Export a checkpoint folder that holds the model, its tokenizer and its chat template."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--pixels",
        type=int,
        nargs=2,
        default=PIXELS,
        metavar=("LEAST", "MOST"),
        help="of a picture after resizing",
    )
    parser.add_argument("--variants", nargs="*", default=[], choices=["fp16", "int8"])
    options = parser.parse_args()
    model = Qwen2VLForConditionalGeneration.from_pretrained(options.checkpoint, attn_implementation="eager")
    least, most = options.pixels
    export(model, options.checkpoint, options.out, (least, most), variants=["", *options.variants])


if __name__ == "__main__":
    main()
