"""Export the everyday model: `python -m training.voice.export_voice build/voice NAME OUT`.

The vision encoder is the eye with the encoder of things behind it, in one file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import onnx
import torch

from training.eye.graphs import FEATURES, THINGS, florence_eye
from training.onnx.model_files import GENERATION, write_json, write_settings
from training.onnx.onnx_graphs import merge_decoders
from training.onnx.onnx_halves import store_halves
from training.onnx.onnx_trace import export_language, export_small
from training.things.encoder import TOKENS, ThingsEncoder
from training.things.view import ROWS
from training.voice.model import Voice
from training.voice.train_voice import load, make

SIDE = 416
CARD = {
    "name": "florence-2-everyday",
    "description": ("embedded model: 80 everyday things; a large model knows more: hailo-ctl models fetch"),
    "demo": True,
    "tasks": [
        *("caption", "detailed_caption", "more_detailed_caption", "vqa", "od"),
        *("dense_region_caption", "region_proposal"),
    ],
}


def encoder_graph(encoder: ThingsEncoder) -> onnx.ModelProto:
    """The encoder as a graph from `things` [1, 24, 8] to `image_features` [1, TOKENS, width]."""
    example = torch.tensor([[[-1.0, 0, 0, 0, 0, 0, -1, 0]] * ROWS])
    return export_small(encoder, example, THINGS, FEATURES)


def export(voice: Voice, tokenizer: Path, folder: Path) -> None:
    """Write the whole folder; `tokenizer` holds the tokenizer's two files."""
    (folder / "onnx").mkdir(parents=True, exist_ok=True)
    model = voice.florence.eval().float()
    write_settings(model, tokenizer, folder, SIDE, TOKENS)
    write_json(folder / "generation_config.json", GENERATION | {"no_repeat_ngram_size": 0})
    write_json(folder / "model_card.json", CARD)
    parts = export_language(model)
    merged = merge_decoders(parts.pop("decoder_model"), parts.pop("decoder_with_past_model"))
    # The words of all wordings would else take the package over its 20 MB.
    parts = {name: store_halves(part) for name, part in (parts | {"decoder_model_merged": merged}).items()}
    parts["vision_encoder"] = florence_eye(encoder_graph(voice.settle()))
    for name, part in parts.items():
        onnx.save(part, str(folder / "onnx" / f"{name}.onnx"))


def main() -> None:
    """Export a checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trained", type=Path, help="folder of the training")
    parser.add_argument("name", help="of the checkpoint")
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    voice, _ = make(options.trained, 1)
    load(voice, options.trained / f"{options.name}.pt")
    export(voice, options.trained, options.out)


if __name__ == "__main__":
    main()
