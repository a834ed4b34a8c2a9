"""Export a Florence-2 of transformers to a folder laid out as the community's ONNX ones.

`python -m training.export_florence CHECKPOINT OUT [--split] [--variants fp16 int8]`
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn
from transformers import Florence2ForConditionalGeneration, PretrainedConfig

from training.onnx_graphs import merge_decoders, tidy
from training.onnx_parts import Decoder, EmbedTokens, Encoder
from training.onnx_variants import as_float16, as_int8
from training.onnx_vision import VisionEncoder

OPSET = 17
LANGUAGE = "model.language_model"
GENERATION = {
    "bos_token_id": 0,
    "pad_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
    "forced_bos_token_id": 0,
    "forced_eos_token_id": 2,
    "early_stopping": True,
    "no_repeat_ngram_size": 3,
    "num_beams": 3,
}
VARIANTS: dict[str, Callable[[onnx.ModelProto], onnx.ModelProto]] = {
    "": lambda part: part,
    "fp16": as_float16,
    "int8": as_int8,
}
Axes = dict[str, dict[int, str]]


def _trace(
    module: nn.Module,
    example: tuple[torch.Tensor, ...],
    names: Sequence[str],
    outputs: Sequence[str],
    axes: Axes,
) -> onnx.ModelProto:
    """The module as an ONNX graph whose weights keep their torch names."""
    memory = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            example,
            memory,
            dynamo=False,
            opset_version=OPSET,
            do_constant_folding=False,
            input_names=list(names),
            output_names=list(outputs),
            dynamic_axes=axes,
        )
    return onnx.load_from_string(memory.getvalue())


def _weights(module: nn.Module) -> dict[str, Any]:
    return {name: value.detach().numpy() for name, value in module.state_dict(keep_vars=True).items()}


def _export(
    module: nn.Module,
    example: tuple[torch.Tensor, ...],
    names: Sequence[str],
    outputs: Sequence[str],
    axes: Axes,
    *,
    prefix: dict[str, str],
) -> onnx.ModelProto:
    part = _trace(module.eval(), example, names, outputs, axes)
    tidy(part, _weights(module), prefix)
    onnx.checker.check_model(part)
    return part


def _decoder_axes(layers: int, cached: bool) -> tuple[list[str], list[str], Axes]:
    """Names of the past, of the outputs, and all dynamic axes."""
    past, outputs = [], ["logits"]
    axes: Axes = {
        "encoder_attention_mask": {0: "batch", 1: "encoder_sequence"},
        "encoder_hidden_states": {0: "batch", 1: "encoder_sequence"},
        "inputs_embeds": {0: "batch", 1: "sequence"},
        "logits": {0: "batch", 1: "sequence"},
    }
    for layer in range(layers):
        for side in ("decoder", "encoder"):
            for kind in ("key", "value"):
                ending = f"{layer}.{side}.{kind}"
                before = "encoder_sequence" if side == "encoder" else "past_sequence"
                axes[f"past_key_values.{ending}"] = {0: "batch", 2: before}
                axes[f"present.{ending}"] = {0: "batch", 2: before if side == "encoder" else "total_sequence"}
                past.append(f"past_key_values.{ending}")
                if not (cached and side == "encoder"):
                    outputs.append(f"present.{ending}")
    return past, outputs, axes


def _export_decoder(model: Florence2ForConditionalGeneration, cached: bool) -> onnx.ModelProto:
    text = model.config.text_config
    past, outputs, axes = _decoder_axes(text.decoder_layers, cached)
    heads = text.decoder_attention_heads
    mask, states = torch.ones(2, 7, dtype=torch.long), torch.randn(2, 7, text.d_model)
    if cached:
        kept = [
            torch.randn(2, heads, 4 if ".decoder." in name else 7, text.d_model // heads) for name in past
        ]
        names, example = ["encoder_attention_mask", "inputs_embeds", *past], (mask, states[:, :1], *kept)
    else:
        names = ["encoder_attention_mask", "encoder_hidden_states", "inputs_embeds"]
        example = (mask, states, states[:, :3])
    used = {name: axes[name] for name in [*names, *outputs]}
    prefix = {"body": f"{LANGUAGE}.decoder", "lm_head": "lm_head"}
    part = _export(Decoder(model, cached), example, names, outputs, used, prefix=prefix)
    for output in part.graph.output:
        if output.name.startswith("present."):
            output.CopyFrom(_kept_tensor(output.name, axes[output.name], heads, text.d_model // heads))
    return part


def _kept_tensor(name: str, axes: dict[int, str], heads: int, width: int) -> onnx.ValueInfoProto:
    """Declares keys or values [batch, heads, tokens, width of a head]; the tracer loses some sizes."""
    shape = [axes[0], heads, axes[2], width]
    return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)


def export_parts(model: Florence2ForConditionalGeneration, side: int) -> dict[str, onnx.ModelProto]:
    """The five separate graphs by file name; `side` is the picture's width and height in pixels."""
    text = model.config.text_config
    batch, tokens = {0: "batch"}, {0: "batch", 1: "sequence"}
    mask, embeds = torch.ones(2, 9, dtype=torch.long), torch.randn(2, 9, text.d_model)
    projector = {name: f"model.{name}" for name in ("vision_tower", "multi_modal_projector")}
    return {
        "vision_encoder": _export(
            VisionEncoder(model, side),
            (torch.randn(2, 3, side, side),),
            ["pixel_values"],
            ["image_features"],
            {"pixel_values": batch, "image_features": batch},
            prefix=projector,
        ),
        "embed_tokens": _export(
            EmbedTokens(model),
            (torch.ones(2, 9, dtype=torch.long),),
            ["input_ids"],
            ["inputs_embeds"],
            {"input_ids": tokens, "inputs_embeds": tokens},
            prefix={"shared": f"{LANGUAGE}.shared"},
        ),
        "encoder_model": _export(
            Encoder(model),
            (mask, embeds),
            ["attention_mask", "inputs_embeds"],
            ["last_hidden_state"],
            {"attention_mask": tokens, "inputs_embeds": tokens, "last_hidden_state": tokens},
            prefix={"body": f"{LANGUAGE}.encoder"},
        ),
        "decoder_model": _export_decoder(model, cached=False),
        "decoder_with_past_model": _export_decoder(model, cached=True),
    }


def _preprocessor(side: int, tokens: int) -> dict[str, Any]:
    size = {"height": side, "width": side}
    return {
        "image_processor_type": "CLIPImageProcessor",
        "processor_class": "Florence2Processor",
        "do_convert_rgb": True,
        "do_resize": True,
        "do_center_crop": False,
        "do_rescale": True,
        "do_normalize": True,
        "size": size,
        "crop_size": size,
        "resample": 3,
        "rescale_factor": 1 / 255,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
        "image_seq_length": tokens,
    }


def _config(model: Florence2ForConditionalGeneration) -> dict[str, Any]:
    """The settings of the language part and the vision part in full, without the library's own."""
    config = model.config.to_diff_dict() | {"architectures": ["Florence2ForConditionalGeneration"]}
    for part in (model.config.text_config, model.config.vision_config):
        name = "text_config" if part is model.config.text_config else "vision_config"
        general = PretrainedConfig().to_dict()
        config[name] = {
            key: value
            for key, value in part.to_dict().items()
            if (key not in general or value != general[key] or key.endswith("_token_id"))
            and "label" not in key
        }
    return {key: value for key, value in config.items() if not key.startswith("_")}


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")


def image_tokens(model: Florence2ForConditionalGeneration, side: int) -> int:
    """How many image tokens a picture of `side` x `side` pixels becomes."""
    with torch.no_grad():
        return int(model.get_image_features(torch.zeros(1, 3, side, side)).pooler_output.shape[1])


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
    _write_json(folder / "config.json", _config(model))
    _write_json(folder / "generation_config.json", GENERATION)
    _write_json(folder / "preprocessor_config.json", _preprocessor(side, image_tokens(model, side)))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tokenizer / name, folder / name)
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
