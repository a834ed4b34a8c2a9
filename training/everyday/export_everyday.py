"""Export a trained model of everyday things: `python -m training.everyday.export_everyday CHECKPOINT OUT`.

OUT becomes a folder in the layout of the community's Qwen2-VL exports, whose `vision_encoder.onnx` is the eye
with the encoder of its list behind it. Weights are stored in half precision and computed with in full.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import onnx
import torch
from transformers import Qwen2VLForConditionalGeneration

from training.everyday.model import MAX_PIXELS, MERGE, MIN_PIXELS, PATCH, Speaker, ThingsEncoder
from training.eye.graphs import FEATURES, THINGS, Normalisation, Patches, qwen_eye
from training.onnx.model_files import write_json
from training.onnx.onnx_halves import store_halves
from training.onnx.onnx_trace import export_small
from training.onnx.qwen_files import IMAGE_MEAN, IMAGE_STD, write_settings
from training.onnx.qwen_onnx import export_language
from training.things.view import ROWS

CARD = {
    "name": "qwen2-vl-everyday",
    "description": "embedded model: 80 everyday things; a large model knows more: hailo-ctl models fetch",
    "demo": True,
}


def load_speaker(checkpoint: Path) -> Speaker:
    """The trained model with the weights that are stored: those of half precision."""
    model = Qwen2VLForConditionalGeneration.from_pretrained(
        checkpoint, attn_implementation="eager", dtype=torch.float32
    )
    speaker = Speaker(model)
    speaker.encoder.load_state_dict(torch.load(checkpoint / "encoder.pt"))
    speaker.bake()
    return halved(speaker).eval()


def halved(speaker: Speaker) -> Speaker:
    """The model with every weight rounded to half precision, as the files hold them."""
    with torch.no_grad():
        for parameter in speaker.parameters():
            parameter.copy_(parameter.half().float())
    return speaker


def encoder_graph(encoder: ThingsEncoder) -> onnx.ModelProto:
    """`things` [1, 24, 8] to `image_features` [1, TOKENS, width]."""
    return export_small(encoder, torch.zeros(1, ROWS, 8), THINGS, FEATURES)


def export(checkpoint: Path, folder: Path) -> None:
    """Write the whole folder but its README."""
    speaker = load_speaker(checkpoint)
    (folder / "onnx").mkdir(parents=True, exist_ok=True)
    write_settings(speaker.model, checkpoint, folder, (MIN_PIXELS, MAX_PIXELS))
    write_json(folder / "model_card.json", CARD)
    parts = export_language(speaker.model)
    parts["vision_encoder"] = qwen_eye(
        encoder_graph(speaker.encoder),
        patches=Patches(PATCH, merge=MERGE),
        normalisation=Normalisation(IMAGE_MEAN, IMAGE_STD),
        rest=speaker.encoder.rest.tolist(),
    )
    for name, part in parts.items():
        onnx.save(store_halves(part), str(folder / "onnx" / f"{name}.onnx"))


def main() -> None:
    """Export a checkpoint folder of `train_everyday`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    export(options.checkpoint, options.out)


if __name__ == "__main__":
    main()
