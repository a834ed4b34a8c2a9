"""Write what Hailo's Dataflow Compiler and hailo-florence need from a Florence-2: docs/hailo-compile.md.

`python -m tools.hef_export CHECKPOINT OUT --side 384 [--pictures FOLDER] [--prompt-tokens 24]`

CHECKPOINT is a folder that transformers loads, or one that `training.onnx.export_florence` wrote. OUT becomes
a model folder that runs on the CPU as it is; OUT/hailo holds the compiler's input.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from transformers import Florence2ForConditionalGeneration

from hailo_common.engine.contract import RgbImage
from hailo_common.inference.model_dir import ModelDir
from hailo_florence.model.generation import read_generation_config
from hailo_florence.model.preprocess import read_image_settings
from hailo_florence.model.prompt import Prompts
from tools.hef_export.calibration import drawn_images, gather, read_images
from tools.hef_export.folder import (
    DECODER,
    ENCODER,
    VISION,
    write_embeddings,
    write_manifest,
    write_scripts,
)
from tools.hef_export.graphs import OPSET, decoder_graph, encoder_graph, operators, vision_graph
from tools.hef_export.pipeline import FixedPipeline
from training.onnx.export_florence import export
from training.onnx.model_files import image_tokens
from training.scenes.checkpoint import load_model

WINDOW = 32
"""Tokens that the decoder computes at once, as in the published HEF."""


def load_checkpoint(folder: Path) -> Florence2ForConditionalGeneration:
    """The model of a folder with weights for transformers, else of one with exported graphs."""
    if any(folder.glob("*.safetensors")) or any(folder.glob("pytorch_model*.bin")):
        return Florence2ForConditionalGeneration.from_pretrained(folder, attn_implementation="eager")
    return load_model(folder)


def export_hailo(
    model: Florence2ForConditionalGeneration,
    tokenizer: Path,
    folder: Path,
    side: int,
    *,
    prompt_tokens: int = 0,
    masked: bool | None = None,
    window: int = WINDOW,
    cuts: int = 1,
    joined: bool = True,
    vision: bool = False,
) -> dict[str, Any]:
    """Write all but the calibration set; returns what the manifest says of the graphs.

    `prompt_tokens` is the room for a prompt (0: just that of a caption); with more room `masked` graphs see
    which rows are empty, unless it is False. The last matrix is cut into `cuts`, which are
    outputs of their own unless `joined`; `vision` adds the vision encoder.
    """
    export(model, tokenizer, folder, side)
    write_embeddings(folder)
    files = ModelDir(folder)
    caption = len(Prompts(files, read_generation_config(files)).encode("caption"))
    room, image = prompt_tokens or caption, image_tokens(model, side)
    masked = room > caption if masked is None else masked
    _check_room(model, room, caption, image + room, window)
    graphs = {
        ENCODER: encoder_graph(model, image + room, masked=masked),
        DECODER: decoder_graph(model, image + room, window, masked=masked, cuts=cuts, joined=joined),
    }
    if vision:
        graphs[VISION] = vision_graph(model, side)
    compiling = folder / "hailo"
    compiling.mkdir(exist_ok=True)
    for name, graph in graphs.items():
        onnx.save(graph, str(compiling / f"{name}.onnx"))
    return {
        "opset": OPSET,
        "side": side,
        "image_tokens": image,
        "prompt_tokens": room,
        "window": window,
        "empty_rows_are_seen": masked,
        "start_token": read_generation_config(files).start,
        "operators": {name: operators(graph) for name, graph in graphs.items()},
    }


def _check_room(
    model: Florence2ForConditionalGeneration, room: int, caption: int, length: int, window: int
) -> None:
    """Raise ValueError where the prompt of a caption, the model's positions or an answer would not fit."""
    positions = model.config.text_config.max_position_embeddings
    if room < caption:
        raise ValueError(f"the prompt of a caption takes {caption} tokens, more than {room}")
    if max(length, window) > positions:
        raise ValueError(f"the model has {positions} positions, fewer than {max(length, window)}")
    if window < 4:
        raise ValueError(f"a window of {window} tokens has no room for an answer")


def calibrate(
    folder: Path, about: dict[str, Any], images: Iterable[RgbImage], questions: Sequence[str] = ()
) -> dict[str, Any]:
    """Write the calibration set, the scripts and the manifest; returns what the manifest begins with.

    Raises ValueError when there is no picture or a question is too long.
    """
    compiling = folder / "hailo"
    pipeline = FixedPipeline(folder, compiling / f"{ENCODER}.onnx", compiling / f"{DECODER}.onnx")
    inputs = gather(folder, pipeline, images, questions)
    if not inputs.encoder:
        raise ValueError("no picture to calibrate with")
    encoder, decoder = inputs.arrays(DECODER)
    np.save(compiling / "encoder_calibration.npy", encoder)
    np.savez(compiling / "decoder_calibration.npz", **decoder)  # type: ignore[arg-type]
    write_scripts(compiling, len(encoder))
    about = {**about, "calibration": {"answers": len(encoder), "as_the_ordinary_pipeline": inputs.same}}
    write_manifest(folder, compiling, about)
    return about


def main() -> None:
    """Export a checkpoint, with a calibration set from a folder of pictures or from drawn scenes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--side", type=int, required=True, help="width and height of the model's picture")
    parser.add_argument(
        "--pictures", type=Path, help="folder of JPEG, PNG or WebP files (default: drawn scenes)"
    )
    parser.add_argument("--count", type=int, default=64, help="of pictures")
    parser.add_argument("--question", action="append", default=[], help="asked about each picture, too")
    parser.add_argument(
        "--prompt-tokens", type=int, default=0, help="room for a prompt (default: a caption's)"
    )
    parser.add_argument("--unmasked", action="store_true", help="graphs that do not see which rows are empty")
    parser.add_argument("--window", type=int, default=WINDOW, help="tokens of the longest answer")
    parser.add_argument("--cuts", type=int, default=1, help="matrices for the scores, joined at the end")
    parser.add_argument("--apart", action="store_true", help="an output for each of the --cuts, not joined")
    parser.add_argument("--vision", action="store_true", help="also the vision encoder")
    options = parser.parse_args()
    about = export_hailo(
        load_checkpoint(options.checkpoint),
        options.checkpoint,
        options.out,
        options.side,
        prompt_tokens=options.prompt_tokens,
        masked=False if options.unmasked else None,
        window=options.window,
        cuts=options.cuts,
        joined=not options.apart,
        vision=options.vision,
    )
    target = read_image_settings(ModelDir(options.out)).target
    if options.pictures:
        images = read_images(options.pictures, target, options.count)
    else:
        images = drawn_images(target, options.count)
    made = calibrate(options.out, about, images, options.question)["calibration"]
    print(f"{options.out}: {made['as_the_ordinary_pipeline']} of {made['answers']} answers as on the CPU")


if __name__ == "__main__":
    main()
